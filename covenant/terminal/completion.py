"""What completes commands and options in a shell, by shtab from the argument parsers: files where files are wanted, machines where machines are."""

import argparse

import shtab

from acg.graph import architecture_names

__all__ = ["SHELLS", "script"]

#: Shells that scripts are made for.
SHELLS = ("bash", "zsh")
#: What is written in place of a value that is no name of a file.
_NO_FILES = ("N", "M", "J", "CYCLE", "OPERATOR", "TEST", "NETWORK", "PATTERN", "FAMILY", "FAMILY:SEED:NUMBER", "NAME=SIZE,...", "ENGINE.SIZE=VALUE")
_MACHINES = {"bash": "_covenant_machines", "zsh": "_covenant_machines"}
_PREAMBLE = {
    "bash": """_covenant_machines() {{
  compgen -W "{names}" -- "$1"
  compgen -f -- "$1"
}}
""",
    "zsh": """_covenant_machines() {{
  compadd {names}
  _files
}}
""",
}


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell of `SHELLS`."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            if action.metavar == "ARCH" or action.dest in ("arch", "like"):
                action.complete = _MACHINES  # type: ignore[attr-defined]
            elif action.nargs != 0 and action.choices is None and action.metavar not in _NO_FILES and action.type is None:
                action.complete = shtab.DIRECTORY if action.metavar == "FOLDER" else shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell, preamble={shell: _PREAMBLE[shell].format(names=" ".join(architecture_names()))}) + "\n"  # type: ignore[arg-type]
