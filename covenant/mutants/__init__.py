"""Mutants: small faults injected into the sources of the RTL generator and of the timing model, each of which verification must notice.

``catalogue`` lists them, ``witnesses`` judge one in a copy of the sources, ``runner`` makes the copies and the table.
"""
