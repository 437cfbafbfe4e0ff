"""What open synthesis makes of a machine's Verilog, block by block: cells, memories, multipliers, clock and longest paths."""
