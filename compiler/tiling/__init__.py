"""Codelets cut into instructions without places."""
