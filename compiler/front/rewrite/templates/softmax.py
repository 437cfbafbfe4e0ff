"""Softmax: exponentials over their sum along one axis, of the distances from the largest number or as they are, or the exponential of a LogSoftmax."""

from __future__ import annotations

from functools import partial

from compiler.front.rewrite.formulas import call, exp, total
from compiler.front.rewrite.restore import Template
from compiler.front.rewrite.templates.log_softmax import difference, make, plain, shifted, x

operator = call("LogSoftmax", x).called("core")

WHOLE = Template(shifted / total(shifted) | plain / total(plain) | exp(operator) | exp(difference), partial(make, name="Softmax"))
