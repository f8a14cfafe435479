"""The command line: finds a command by name and runs it. A plugin declares every one, the core's own ones too."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..errors import PlugradError
from ..plugins.loader import core_version, discover
from ..plugins.names import suggest

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``plugrad <argv>`` and return the exit code: 0, 1 for a failure, 2 for a wrong call."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words[0], words[1:]) if words and not words[0].startswith("-") else _options(words)
    except SystemExit as stop:  # argparse ends so
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1


def _options(words: list[str]) -> int:
    commands = sorted(discover().select("command").items())
    width = max(len(name) for name, _ in commands)
    parser = argparse.ArgumentParser(
        prog="plugrad",
        usage="plugrad [--help] [--version] COMMAND ...",
        description="Arrays and automatic differentiation in which everything that computes is a plugin.",
        epilog="\n".join(["commands:", *[f"  {name:<{width}}  {entry.help}" for name, entry in commands]]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"plugrad {core_version()}")
    parser.parse_args(words)
    parser.print_help()
    return 0


def _run(name: str, argv: list[str]) -> int:
    registry = discover()
    commands = registry.select("command")
    if name not in commands:
        hint = suggest(name, commands) + registry.absent_like(name)
        print(f"plugrad: unknown command {name!r}{hint}; commands: {', '.join(sorted(commands))}", file=sys.stderr)
        return 2
    try:
        return commands[name].load()(argv) or 0
    except PlugradError as error:
        print(f"plugrad {name}: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        error.add_note(f"raised by the command {name} of {commands[name].provider}")
        raise
