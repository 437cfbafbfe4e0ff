"""Codelets that are micro-programs on rows of pixels or on images of them; their vocabulary stands in `row_program`."""
