"""AXI4 and AXI4-Lite: signatures and wires at the machine's edge."""
