"""The commands and their options, from the argument parsers. argparse's own format is not used: it differs between Python versions."""

import argparse
from collections.abc import Iterator

from covenant import cli
from docs.generate.tables import MADE, table

__all__ = ["command_line", "commands", "options"]

_HEAD = f"""{MADE}
# Command line

`covenant COMMAND ...`; `covenant COMMAND --help` prints what stands here. A MODEL is an ONNX file, an ARCH the name of a file of `archs/` or a YAML file, a
program file what `covenant compile` writes. Exit status: 0 everything exact, 1 a promise broken, 2 bad input, 3 a fault of the program itself,
128 + N ended by signal N. What each message means and what to do: [errors](../howto/index.md).
"""


def commands() -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Name, parser and summary of every command, in the order of ``covenant --help``."""
    (found,) = (action for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction))
    summaries = {action.dest: action.help or "" for action in found._choices_actions}
    for name, parser in found.choices.items():
        yield name, parser, summaries[name]


def options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """(how it is written, what it says) of each argument, positional ones first, without --help."""
    said = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    for action in sorted(said, key=lambda action: bool(action.option_strings)):
        help_text = (action.help or "") % {**vars(action), "prog": parser.prog} if action.help else ""
        yield _written(action), help_text


def _written(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else _value(action)
    if not action.option_strings:
        return value
    return ", ".join(f"{option} {value}".strip() for option in action.option_strings)


def _value(action: argparse.Action) -> str:
    if action.metavar is not None:
        name = action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar)
    elif action.choices is not None:
        name = "{" + ",".join(map(str, action.choices)) + "}"
    else:
        name = action.dest.upper()
    return {"*": f"[{name} ...]", "+": f"{name} [{name} ...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _section(name: str, parser: argparse.ArgumentParser, summary: str) -> str:
    rows = [(f"`{written}`", said.replace("<", "&lt;").replace("*", "\\*")) for written, said in options(parser)]
    text = [f"## covenant {name}", summary[0].upper() + summary[1:] + "."]
    return "\n\n".join([*text, table(("argument", "what it says"), rows)] if rows else text)


def command_line() -> str:
    """The page."""
    every = list(commands())
    overview = table(("command", "does"), [(f"[{name}](#covenant-{name})", summary) for name, _, summary in every])
    return "\n\n".join([_HEAD + "\n" + overview, *(_section(*command) for command in every)]) + "\n"
