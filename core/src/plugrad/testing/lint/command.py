"""``plugrad lint PATH|DIST``: prints what is wrong with a plugin, a line each."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from . import Finding, LintError, lint


def main(argv: Sequence[str]) -> int:
    """Check the sources of plugins against the contract. Runs none of it; the exit code is 1 if anything is found."""
    parser = argparse.ArgumentParser(prog="plugrad lint", description=main.__doc__)
    parser.add_argument(
        "what", metavar="PATH|DIST", nargs="+", help="a folder, a .py file, or the name of an installed distribution"
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="lines (default), or a list of objects"
    )
    parser.add_argument(
        "--import", dest="imported", action="store_true", help="also import the hooks module, in a process of its own"
    )
    options = parser.parse_args(argv)
    try:
        found = sorted({one for what in options.what for one in lint(what, options.imported)})
    except LintError as error:
        print(f"plugrad lint: {error}", file=sys.stderr)
        return 2
    print(json.dumps([one._asdict() for one in found], indent=2) if options.format == "json" else report(found))
    return 1 if found else 0


def report(found: Sequence[Finding]) -> str:
    """The findings and their number.

    >>> print(report([]))
    no findings
    """
    count = f"{len(found)} finding{'' if len(found) == 1 else 's'}" if found else "no findings"
    return "\n".join([*map(str, found), count])
