"""Instruction-level functional simulator (numpy)."""
