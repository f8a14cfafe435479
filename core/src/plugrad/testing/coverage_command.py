"""``plugrad coverage``: what a backend runs itself, composes, and leaves to the host."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from ..fallback import columns
from ..plugins import default_backend
from .coverage import coverage, summary, table


def main(argv: Sequence[str]) -> int:
    """Print how a backend runs each op in each dtype: by a kernel, composed of other ops, or through the host."""
    parser = argparse.ArgumentParser(prog="plugrad coverage", description=main.__doc__)
    parser.add_argument("--backend", default=None, metavar="NAME", help="a device (default: the default device)")
    parser.add_argument("--format", choices=("table", "json", "markdown"), default="table")
    options = parser.parse_args(argv)
    device = options.backend or default_backend()
    found = coverage(device)
    if options.format == "json":
        print(json.dumps({"device": device, "coverage": found}, indent=1))
    elif options.format == "markdown":
        head, *rows = table(found)
        print("\n".join(f"| {' | '.join(row)} |" for row in [head, ("---",) * len(head), *rows]))
    else:
        print(columns(table(found), "<<<<"))
        print(f"\n{device}:\n{summary(found)}")
    return 0
