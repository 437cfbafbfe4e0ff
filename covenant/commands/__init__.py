"""The subcommands, one a file; each takes the parsed options and returns the exit status."""

from covenant.commands.advise import advise
from covenant.commands.arch import arch
from covenant.commands.backend_test import backend_test
from covenant.commands.compare import compare
from covenant.commands.compile import compile_
from covenant.commands.coverage import coverage
from covenant.commands.disasm import disasm
from covenant.commands.fuzz import fuzz
from covenant.commands.models import models
from covenant.commands.mutants import mutants
from covenant.commands.ops import ops
from covenant.commands.predict import predict
from covenant.commands.quantize import quantize
from covenant.commands.quantize_test import quantize_test
from covenant.commands.report import report
from covenant.commands.rtl import rtl
from covenant.commands.run import run
from covenant.commands.trace import trace
from covenant.commands.verify import verify

__all__ = [
    "advice", "advise", "arch", "backend_test", "compare", "compile_", "coverage", "disasm", "fuzz", "input_errors", "models", "mutants", "ops",
    "predict", "quantize", "quantize_test", "report", "rtl", "run", "trace", "verify",
]


def advice(error: Exception, options) -> str:
    """What the command itself can do about an error that a layer below has explained; '' or further lines."""
    from compiler.errors import UnsupportedError

    if isinstance(error, UnsupportedError) and getattr(options, "fallback", "host") is None:
        return "\nor give --fallback host: they run on onnxruntime then, between accelerator segments"
    return ""


def input_errors() -> tuple[type[Exception], ...]:
    """Errors of the layers below that mean refused input or a missing tool."""
    from compiler.errors import CompilerError
    from verif.bench import BenchError

    return (CompilerError, BenchError)
