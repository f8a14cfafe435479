"""``plugrad plugins``: what is installed, what it provides, what is wrong with it. Asks probes, loads no backend."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterable, Sequence

from ..plugins.backends import probe
from ..plugins.loader import PluginStatus, statuses
from ..plugins.registrar import Entry

COLUMNS = ("distribution", "version", "entry point", "status", "provides")
NARROWEST = 40
"""Columns that the names get at least, however narrow the terminal."""


def main(argv: Sequence[str]) -> int:
    """List the installed plugins; the reason of whatever cannot be used or is broken stands below its row."""
    argparse.ArgumentParser(prog="plugrad plugins", description=main.__doc__).parse_args(argv)
    plugins = statuses()
    states = [state(plugin) for plugin in plugins]
    rows = [COLUMNS[:-1]]
    for plugin, (status, _) in zip(plugins, states, strict=True):
        rows.append((plugin.provider.distribution, plugin.provider.version, plugin.provider.entry_point, status))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = max(shutil.get_terminal_size((120, 24)).columns - sum(widths) - 2 * len(widths), NARROWEST)
    cells = [[COLUMNS[-1]], *[summary(plugin.provides, room) for plugin in plugins]]
    for row, cell, (_, reason) in zip(rows, cells, [("", ""), *states], strict=True):
        left = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        for k, line in enumerate(cell):
            print(f"{' ' * len(left) if k else left}  {line}".rstrip())
        if reason:
            print(f"    {reason}")
    return 0


def state(plugin: PluginStatus) -> tuple[str, str]:
    """Status and reason of a plugin; "unavailable" if it is in order but none of its backends can be used here."""
    outcomes = {entry.name: probe(entry) for entry in plugin.provides if entry.word == "backend"}
    reasons = [f"backend {name}: {outcome.reason}" for name, outcome in outcomes.items() if not outcome.available]
    unusable = plugin.status == "ok" and reasons and len(reasons) == len(outcomes)
    return "unavailable" if unusable else plugin.status, "; ".join(filter(None, [plugin.reason, *reasons]))


def summary(entries: Iterable[Entry], width: int) -> list[str]:
    """What a plugin provides: each kind with its names, on lines of at most ``width`` columns if names allow."""
    kinds: dict[str, list[str]] = {}
    for entry in entries:
        kinds.setdefault(entry.kind or entry.word, []).append(entry.name)
    return [
        line
        for kind, names in kinds.items()
        for line in textwrap.wrap(
            f"{kind}: {', '.join(names)}", width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    ] or ["-"]
