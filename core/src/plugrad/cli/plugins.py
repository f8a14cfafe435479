"""``plugrad plugins``: what is installed, what it provides, what is wrong with it. Asks probes, loads no backend."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterable, Sequence

from ..plugins.loader import PluginStatus, statuses
from ..plugins.registrar import Entry

COLUMNS = ("distribution", "version", "entry point", "status")
NARROWEST = 40
"""Columns that the names get at least, however narrow the terminal."""


def main(argv: Sequence[str]) -> int:
    """List the installed plugins; the reason of whatever cannot be used or is broken stands below its row."""
    argparse.ArgumentParser(prog="plugrad plugins", description=main.__doc__).parse_args(argv)
    plugins = statuses()
    states, reasons = zip(*map(state, plugins), strict=True)
    rows = [COLUMNS, *[(*plugin.provider, status) for plugin, status in zip(plugins, states, strict=True)]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    taken = sum(widths) + 2 * len(widths)
    room = max(shutil.get_terminal_size((120, 24)).columns - taken, NARROWEST)
    cells = [["provides"], *[summary(plugin.provides, room) for plugin in plugins]]
    for row, cell, reason in zip(rows, cells, ["", *reasons], strict=True):
        left = "".join(text.ljust(width + 2) for text, width in zip(row, widths, strict=True))
        print(left + f"\n{' ' * taken}".join(cell))
        if reason:
            print(f"    {reason}")
    return 0


def state(plugin: PluginStatus) -> tuple[str, str]:
    """Status and reason of a plugin; "unavailable" if it is in order but none of its backends can be used here."""
    outcomes = {entry.name: entry.outcome() for entry in plugin.provides if entry.word == "backend"}
    reasons = [f"backend {name}: {outcome.reason}" for name, outcome in outcomes.items() if not outcome.available]
    unusable = plugin.status == "ok" and reasons and len(reasons) == len(outcomes)
    return "unavailable" if unusable else plugin.status, "; ".join(filter(None, [plugin.reason, *reasons]))


def summary(entries: Iterable[Entry], width: int) -> list[str]:
    """What a plugin provides: each kind with its names, on lines of at most ``width`` columns if names allow."""
    kinds: dict[str, list[str]] = {}
    for entry in entries:
        kinds.setdefault(entry.kind or entry.word, []).append(entry.name)
    wrapper = textwrap.TextWrapper(width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [line for kind, names in kinds.items() for line in wrapper.wrap(f"{kind}: {', '.join(names)}")] or ["-"]
