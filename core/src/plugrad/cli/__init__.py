"""The command line: finds a command by name and runs it. A plugin declares every one, the core's own ones too."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from ..backend import __version__
from ..errors import PlugradError
from ..plugins.loader import discover
from ..plugins.registrar import Entry

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``plugrad <argv>`` and return the exit code: 0, 1 for a failure, 2 for a wrong call."""
    try:
        code = _run(argv)
        if not getattr(sys.stdout, "closed", sys.stdout is None):  # a captured script may do away with it
            sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read, such as head, has enough; what is left must not be flushed at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(argv: Sequence[str] | None) -> int:
    name, *words = (sys.argv[1:] if argv is None else argv) or ["--help"]
    registry = discover()
    commands = registry.select("command")
    if name in ("-h", "--help", "--version"):
        print(f"plugrad {__version__}" if name == "--version" else usage(commands))
        return 0
    if name not in commands:
        known = f"commands: {', '.join(sorted(commands))}"
        print(f"plugrad: unknown command {name!r}{registry.hint(name, commands)}; {known}", file=sys.stderr)
        return 2
    try:
        return commands[name].load()(words) or 0
    except SystemExit as stop:  # argparse ends so
        if not isinstance(stop.code, str):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
    except PlugradError as error:
        print(f"plugrad {name}: {error}", file=sys.stderr)
    except Exception as error:
        error.add_note(f"raised by the command {name} of {commands[name].provider}")
        raise
    return 1


def usage(commands: Mapping[str, Entry]) -> str:
    """What ``plugrad --help`` prints."""
    width = max(map(len, commands))
    what = "Arrays and automatic differentiation in which everything that computes is a plugin."
    listed = "\n".join(f"  {name:<{width}}  {entry.help}" for name, entry in sorted(commands.items()))
    return f"usage: plugrad [--help] [--version] COMMAND ...\n\n{what}\n\ncommands:\n{listed}"
