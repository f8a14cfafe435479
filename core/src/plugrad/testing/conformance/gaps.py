"""Known gaps: a file that says which checks fail, and why each does.

A line is ``pattern: reason``, the pattern as in file names (``*`` stands for anything); a line that begins with # says
nothing. A check that a line names must fail, and a line must name a check: what is mended leaves the file.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from ...backend import BACKENDS
from ...errors import PlugradError, suggest
from ..contract.subject import Subject

NAME = "conformance_gaps.txt"
"""The file in a backend's package that is read if no other is given."""


class GapsError(PlugradError, ValueError):
    """A file of known gaps cannot be used."""


class Gap(NamedTuple):
    """``where`` is the file and line."""

    pattern: str
    reason: str
    where: str

    def covers(self, name: str) -> bool:
        """Whether it speaks of the check of this name."""
        return fnmatchcase(name, self.pattern)


def parse(text: str, source: str) -> list[Gap]:
    """The gaps in a file's text; GapsError, with the line, for one without a reason.

    >>> parse("values.remainder.float16: rounds twice", "gaps.txt")[0].reason
    'rounds twice'
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        pattern, _, reason = (part.strip() for part in line.partition(":"))
        if not line.strip() or line.strip().startswith("#"):
            continue
        where = f"{source}:{number}"
        if not reason or not pattern:
            raise GapsError(f"{where}: {line.strip()!r} is not 'pattern: reason'; say why the check fails")
        found.append(Gap(pattern, reason, where))
    return found


def of_file(path: str) -> list[Gap]:
    """The gaps of a file; GapsError if it cannot be read."""
    try:
        return parse(Path(path).read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise GapsError(f"known gaps {path}: cannot be read: {error}") from error


def of_backend(device: str) -> list[Gap]:
    """The gaps that the package of the device's backend brings, if it brings a file of them."""
    package = type(BACKENDS[Subject(device).index]).__module__.partition(".")[0]
    try:
        file = resources.files(package) / NAME
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
    except (ModuleNotFoundError, TypeError, FileNotFoundError):  # a class of a program, not of a package
        return []
    return parse(text, f"{package}/{NAME}")


def check_gaps(gaps: Sequence[Gap], names: Collection[str]) -> None:
    """GapsError for gaps that name no check."""
    for gap in gaps:
        if not any(gap.covers(name) for name in names):
            hint = suggest(gap.pattern, names)
            raise GapsError(f"{gap.where}: no check is called {gap.pattern!r}{hint}; take the line out")


def gap_of(name: str, gaps: Sequence[Gap]) -> Gap | None:
    """The gap that covers the check of this name."""
    return next((gap for gap in gaps if gap.covers(name)), None)
