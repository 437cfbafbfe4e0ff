"""``covenant explore``: which machine for these networks. Every point is a real compilation, whose cycles the RTL repeats exactly."""
