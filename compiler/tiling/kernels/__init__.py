"""Codelets on a programmable engine: tiles, streams, constants and code of its kernels."""
