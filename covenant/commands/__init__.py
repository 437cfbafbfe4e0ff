"""The subcommands, one a file: the module of a command has a function of its name that takes the parsed options and returns the exit status.

    networks    what people do with a network or a program of it        analysis    where cycles go, and what would help
    machines    what they do with a machine                             checks      campaigns that look for faults of ours

A module is imported when its command is given.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

__all__ = ["advice", "function_of", "input_errors"]

ROOMS = ("", ".networks", ".machines", ".analysis", ".checks")


def function_of(command: str) -> Callable[..., int]:
    """What does a command, by the name that is typed."""
    name = command.replace("-", "_")
    module = next(module for room in ROOMS if find_spec(module := f"covenant.commands{room}.{name}"))
    return getattr(import_module(module), {"compile": "compile_"}.get(name, name))


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
