"""``plugrad plugins``: what is installed, what it provides, what is wrong with it. Loads no backend, asks no probe."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from ..plugins.loader import statuses
from ..plugins.registrar import Entry

COLUMNS = ("distribution", "version", "entry point", "status", "provides")
LISTED = 6
"""Up to so many names of one kind are shown; of more, the number."""


def main(argv: Sequence[str]) -> int:
    """List the installed plugins; the reason of whatever is not in order stands below its row."""
    argparse.ArgumentParser(prog="plugrad plugins", description=main.__doc__).parse_args(argv)
    rows, reasons = [COLUMNS], [""]
    for plugin in statuses():
        who = plugin.provider
        rows.append((who.distribution, who.version, who.entry_point, plugin.status, summary(plugin.provides)))
        reasons.append(plugin.reason)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, reason in zip(rows, reasons, strict=True):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if reason:
            print(f"    {reason}")
    return 0


def summary(entries: Iterable[Entry]) -> str:
    """What a plugin provides, in one line: kinds with their names, or with a count where there are many."""
    kinds: dict[str, list[str]] = {}
    for entry in entries:
        kinds.setdefault(entry.kind or entry.word, []).append(entry.name)
    return "; ".join(f"{k} {', '.join(v) if len(v) <= LISTED else f'({len(v)})'}" for k, v in kinds.items()) or "-"
