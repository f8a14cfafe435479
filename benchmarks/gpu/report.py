"""What `tools/gpu_check` keeps: the sections' records and how they ended, as JSON and as one Markdown table.

Standard library only.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

WAITING, RUNNING, OK, FAILED, CUT, ABSENT = "not begun", "running", "ok", "failed", "cut off", "absent"
UNITS = {"B": (1e9, "GB/s"), "FLOP": (1e12, "TFLOP/s")}
MOST_LISTED = 40


@dataclass
class Outcome:
    """One section: how it ended, in how many seconds, what it wrote, and its last words if it failed."""

    name: str
    state: str = WAITING
    seconds: float = 0.0
    why: str = ""
    records: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Its records of one kind."""
        return [record for record in self.records if record["kind"] == kind]

    def counts(self) -> Counter[str]:
        """Its cases by outcome."""
        return Counter(case["outcome"] for case in self.of("case"))

    def judge(self, status: int | None, why: str = "") -> None:
        """Set the state from how the process ended; ``status`` None: it was stopped for the reason ``why``."""
        bad, absent, cut = self.counts()["failed"], self.of("absent"), self.of("cut")
        whole = bool(self.of("complete"))
        if bad:
            self.state, self.why = FAILED, why
        elif status is None:
            self.state, self.why = CUT, why
        elif status or not whole:
            self.state, self.why = FAILED, f"its process ended with status {status} before its end"
        elif self.of("torn"):
            self.state, self.why = FAILED, "a record was torn while it was written"
        elif cut:
            self.state, self.why = CUT, "; ".join(record["text"] for record in cut)
        elif absent:
            self.state, self.why = ABSENT, "; ".join(record["text"] for record in absent)
        elif not self.counts()["passed"]:
            self.state, self.why = FAILED, "nothing was checked"
        else:
            self.state = OK


@dataclass
class Report:
    """Everything, and where it is kept."""

    title: str
    command: str
    begun: str
    commit: str
    outcomes: list[Outcome]
    notes: list[str] = field(default_factory=list)

    def save(self, stem: Path, hidden: dict[str, str]) -> None:
        """Write both files; each appears whole or stays as it was. ``hidden``: paths of the machine, and what is
        written in their place.
        """
        hide = hiding(hidden)
        whole = json.dumps(in_strings(hide, asdict(self)), indent=1) + "\n"
        stem.parent.mkdir(parents=True, exist_ok=True)
        for suffix, text in ((".json", whole), (".md", hide(self.markdown()))):
            target = stem.with_name(stem.name + suffix)
            part = target.with_name(target.name + ".part")
            part.write_text(text, encoding="utf-8")
            part.replace(target)

    def markdown(self) -> str:
        """The table, and under it what failed, what was skipped, and what the reader must know."""
        lines = [f"# {self.title}", "", f"`{self.command}`, begun {self.begun}, commit {self.commit}", ""]
        lines += ["| what | result | × torch | × cupy | rate |", "|---|---|---|---|---|"]
        for outcome in self.outcomes:
            lines.append(row(f"**{outcome.name}**", headline(outcome)))
            lines += [row(fact["name"], fact["text"]) for fact in outcome.of("fact")]
            lines += [figure(record) for record in outcome.of("figure")]
        lines += ["", "× torch, × cupy: how many times faster plugrad is, medians of rounds in which all took turns."]
        lines += ["", *[f"- {text}" for outcome in self.outcomes for text in remarks(outcome)]]
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"


def hiding(hidden: dict[str, str]) -> Callable[[str], str]:
    """Replaces paths in a text, longer ones first, where they stand whole. The root folder is never replaced."""
    paths = sorted((path for path in hidden if len(Path(path).parts) > 1), key=len, reverse=True)
    if not paths:
        return str
    ending = r"(?![\w-]|\.\w)"
    ways = [re.escape(path) + ("" if path.endswith("/") else ending) for path in paths]
    pattern = re.compile(rf"(?:(?<![\w.~-])|(?<=-[IL]))({'|'.join(ways)})")
    return lambda text: pattern.sub(lambda found: hidden[found[1]], text)


def in_strings(change: Callable[[str], str], value: Any) -> Any:
    """The same structure with every string in it changed."""
    if isinstance(value, dict):
        return {key: in_strings(change, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [in_strings(change, item) for item in value]
    return change(value) if isinstance(value, str) else value


def row(*cells: str) -> str:
    """One line of the table."""
    padded = [cell.replace("|", "\\|").replace("\n", " ") for cell in (*cells, "", "", "", "")[:5]]
    return f"| {' | '.join(padded)} |"


def headline(outcome: Outcome) -> str:
    """How a section ended."""
    counts = ", ".join(f"{count} {name}" for name, count in sorted(outcome.counts().items()))
    parts = [outcome.state, *([counts] if counts else []), *([outcome.why] if outcome.why else [])]
    return "; ".join(parts) + (f" ({outcome.seconds:.0f} s)" if outcome.seconds else "")


def figure(record: dict[str, Any]) -> str:
    """A benchmark's line."""
    ratios = [f"{record['ratios'][name]:.2f}" if name in record["ratios"] else "-" for name in ("torch", "cupy")]
    rate = "-"
    if record["unit"] in UNITS:
        factor, unit = UNITS[record["unit"]]
        rate = f"{record['rate'] / factor:.3g} {unit}"
    return row(record["name"], in_units(record["seconds"]["plugrad"]), *ratios, rate)


def in_units(seconds: float) -> str:
    """Seconds in a unit that suits them."""
    for unit, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def remarks(outcome: Outcome) -> list[str]:
    """What is said of a section under the table: failures by name, skips by reason, notes."""
    cases = outcome.of("case")
    bad = [f"{outcome.name}: FAILED {case['name']}: {case['detail']}" for case in cases if case["outcome"] == "failed"]
    lines = bad[:MOST_LISTED]
    if len(bad) > MOST_LISTED:
        lines.append(f"{outcome.name}: {len(bad) - MOST_LISTED} further failures are in the JSON file")
    reasons = Counter(case["detail"] for case in cases if case["outcome"] == "skipped")
    lines += [f"{outcome.name}: {count} skipped: {reason}" for reason, count in reasons.items()]
    lines += [f"{outcome.name}: {note['text']}" for note in outcome.of("note")]
    lines += [f"{outcome.name}: a record was torn: {record['text']}" for record in outcome.of("torn")]
    return [" ".join(line.split()) for line in lines]
