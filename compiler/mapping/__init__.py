"""Codelets, the engines that compute them, and the paths of their operands."""
