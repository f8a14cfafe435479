"""Tables of what was measured, with the bars that plugrad is to reach."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from .timing import ratio

Found = dict[str, list[float]]
NOISY = 0.5
"""A spread of rounds above which no bar is said to be met or missed: another load decided (torch on 2 threads beside a
busy process falls to a tenth)."""


def fastest(found: Found, prefix: str, without: Sequence[str] = ()) -> str | None:
    """The quickest of the candidates whose names begin with ``prefix``."""
    names = [name for name in found if name.startswith(prefix) and name not in without]
    return min(names, key=lambda name: statistics.median(found[name]), default=None)


def spread(seconds: Sequence[float]) -> float:
    """The distance of the slowest round from the quickest, in medians."""
    return (max(seconds) - min(seconds)) / statistics.median(seconds)


def _met(times: float, bar: float | None, noise: float) -> str:
    if bar is None:
        return ""
    return "?" if noise > NOISY else "yes" if times >= bar else "NO"


def show(title: str, found: Found, ours: Mapping[str, Mapping[str, float]], unit: tuple[str, float]) -> None:
    """Print a table: candidate, time, spread of the rounds; and for each of ``ours``, how many times faster it is, the
    bar against that candidate, and whether it is met, "?" where the rounds are too far apart to say.
    """
    ours = {name: bars for name, bars in ours.items() if name in found}
    head = f"{title:24s} {unit[0]:>9s} {'spread':>7s}"
    print(head + "".join(f" | {name + ' faster':>25s} {'bar':>5s} {'met':>4s}" for name in ours))
    for name, seconds in sorted(found.items(), key=lambda row: statistics.median(row[1])):
        noise = spread(seconds)
        line = f"{name:24s} {statistics.median(seconds) * unit[1]:9.3f} {noise:7.0%}"
        for own, bars in ours.items():
            if own == name:
                line += f" | {'':25s} {'':5s} {'':4s}"
                continue
            times, bar = ratio(found, name, own), bars.get(name)
            shown = "" if bar is None else f"{bar:.2f}"
            met = _met(times, bar, max(noise, spread(found[own])))
            line += f" | {times:25.2f} {shown:>5s} {met:>4s}"
        print(line)
    print(flush=True)
