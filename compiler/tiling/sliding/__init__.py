"""Codelets whose reduction is the kernel alone, on a window engine."""
