"""What came out of a run of the kit: a table for people, JSON for programs."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from ...backend import BACKENDS, __version__
from ...errors import ArgumentError
from ...plugins import API
from ..contract.subject import Subject
from ..coverage import Coverage, coverage, summary

OUTCOMES = ("passed", "failed", "known gap", "note", "not here")
LONGEST = 240
"""Characters of a message in the summary; the report has all of them."""
MOST = 30
"""Lines under a title of the summary; the report has all checks."""


class Outcome(NamedTuple):
    """What came out of one check. ``outcome`` is one of ``OUTCOMES``."""

    name: str
    kind: str
    subject: str
    dtype: str
    outcome: str
    seconds: float
    message: str


class Report:
    """The outcomes of a run. ``ops``: those that it is about, None for all."""

    def __init__(self, device: str, quick: bool, ops: set[str] | None = None) -> None:
        self.device, self.quick, self.ops = device, quick, ops
        self.outcomes: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Take note of one."""
        self.outcomes.append(outcome)

    def counts(self) -> dict[str, int]:
        """How many there are of each outcome."""
        found = Counter(one.outcome for one in self.outcomes)
        return {name: found[name] for name in OUTCOMES if found[name]}

    def coverage(self) -> Coverage:
        """How the device runs the ops that the run is about."""
        return {op: cells for op, cells in coverage(self.device).items() if self.ops is None or op in self.ops}

    def __str__(self) -> str:
        lines = [summary(found), ""] if (found := self.coverage()) else []
        for title, word in (("wrong", "failed"), ("known gaps", "known gap"), ("notes", "note")):
            listed = _listed([one for one in self.outcomes if one.outcome == word])
            if listed:
                lines += [f"{title}:", *listed[:MOST]]
            if len(listed) > MOST:
                more = f"{len(listed) - MOST} more lines, often of the same causes; mend from the top"
                lines.append(f"  ... {more} (-x stops at the first, --report FILE has all)")
        counted = ", ".join(f"{count} {name}" for name, count in self.counts().items())
        return "\n".join([*lines, f"{len(self.outcomes)} check{'s' * (len(self.outcomes) != 1)}: {counted}"])

    def data(self) -> dict[str, Any]:
        """What the JSON file holds."""
        backend = BACKENDS[Subject(self.device).index]
        return {
            "plugrad": __version__,
            "protocol": list(API),
            "device": self.device,
            "backend": backend.name,
            "distribution": backend.distribution or "plugrad",
            "quick": self.quick,
            "counts": self.counts(),
            "checks": [one._asdict() for one in self.outcomes],
            "coverage": self.coverage(),
        }

    def write(self, path: str) -> None:
        """Write it, whole or not at all."""
        target = Path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            part.write_text(json.dumps(self.data(), indent=1) + "\n", encoding="utf-8")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def _listed(outcomes: list[Outcome]) -> list[str]:
    """A line a check, one for all dtypes of an op that fail, with the first message, or that have one reason."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        same = bool(one.dtype) and one.name.endswith(f".{one.dtype}")
        name = one.name.removesuffix(f".{one.dtype}") if same else one.name
        groups.setdefault((name, "" if one.outcome == "failed" else one.message), []).append(one)
    lines = []
    for first, *others in groups.values():
        also = f" (also {', '.join([one.dtype for one in others])})" if others else ""
        lines.append(f"  {first.name}: {_cut(first.message)}{also}")
    return lines


def check_writable(path: str) -> None:
    """ArgumentError, before anything runs, if a report cannot be written there."""
    folder = Path(path).absolute().parent
    if Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ArgumentError(f"report {path}: cannot be written; name a file in a folder that exists and is yours")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
