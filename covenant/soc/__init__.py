"""A system in simulation: a RISC-V core whose firmware, built from the C driver, runs a network on the accelerator."""
