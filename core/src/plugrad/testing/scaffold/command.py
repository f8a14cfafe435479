"""``plugrad new KIND NAME``: says what it wrote and what to do next."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from .kinds import KINDS
from .project import Project, plan


def main(argv: Sequence[str]) -> int:
    """Write a new distribution for plugrad: installable, typed, with tests that pass."""
    parser = argparse.ArgumentParser(prog="plugrad new", description=main.__doc__)
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for word, kind in KINDS.items():
        one = kinds.add_parser(word, help=kind.help, description=f"Write {kind.help}.")
        one.add_argument("name", metavar="NAME", help=f"its name, such as my-{word}")
        one.add_argument("--path", type=Path, metavar="DIR", help="the folder to write (default: ./DIST)")
        one.add_argument("--distribution", default="", metavar="DIST", help="what pip installs (default: plugrad-NAME)")
        one.add_argument("--author", default="", metavar="WHO", help="'Name' or 'Name <address>', for pyproject.toml")
    options = parser.parse_args(argv)
    project = plan(KINDS[options.kind], options.name, options.path, options.author, options.distribution)
    project.write()
    print(report(project))
    return 0


def report(project: Project) -> str:
    """The files, and the three commands that come next."""
    return "\n".join(
        [
            f"wrote {len(project.texts)} files in {project.folder}:",
            *[f"  {name}" for name in project.texts],
            "next, in the environment in which plugrad is installed:",
            f"  cd {shlex.quote(str(project.folder))}",
            "  python -m pip install -e '.[testing]'",
            "  python -m pytest",
        ]
    )
