"""Random machines, programs and networks, by seed."""
