"""Witnesses and benches: references, functional simulator, Verilator runs, timeline compare."""
