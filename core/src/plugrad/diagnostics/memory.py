"""A picture of a memory plan: which values lie where in the arena, and how much of it is alive at each equation."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from ..errors import ArgumentError
from ..program import ALIGNMENT, Program, short, shown

BARS = " ▁▂▃▄▅▆▇█"


class Held(NamedTuple):
    """A value in the arena: its number in the program, dtype and shape ("float32[4,3]"), and what made it: the op, and
    the user's line.
    """

    value: int
    spec: str
    op: str
    where: str

    def __str__(self) -> str:
        return f"%{self.value}:{self.spec} {self.op}" + (f"  {self.where}" if self.where else "")


class Block(NamedTuple):
    """Bytes of the arena that are alive from equation ``born`` to equation ``dies``, both included. Several values have
    one block where each was written over the one before.
    """

    offset: int
    nbytes: int
    born: int
    dies: int
    values: tuple[Held, ...]


class MemoryPlan(NamedTuple):
    """The arena of a program: its size in bytes, the blocks, the live bytes at each equation. ``values`` is what all
    values in the arena take together, ``peak`` the most that is alive at once.

    >>> import plugrad
    >>> f = plugrad.compile(lambda x: plugrad.exp(plugrad.sum(plugrad.sin(x), axis=0)))
    >>> _ = f(plugrad.ones((4, 3), device="numpy"))
    >>> plan = plugrad.memory_plan(f)
    >>> plan.size, plan.peak, [str(v) for block in plan.blocks for v in block.values]  # doctest: +ELLIPSIS
    (128, 128, ['%1:float32[4,3] sin  ...', '%2:float32[3] sum  ...'])
    """

    name: str
    size: int
    values: int
    peak: int
    blocks: tuple[Block, ...]
    live: tuple[int, ...]

    def at_peak(self) -> list[Block]:
        """The blocks that are alive where most is, the largest first."""
        when = self.live.index(self.peak) if self.live else 0
        return sorted([b for b in self.blocks if b.born <= when <= b.dies], key=lambda b: (-b.nbytes, b.offset))

    def text(self, width: int = 100, height: int = 4, most: int = 12) -> str:
        """For a terminal: live bytes over the equations, and who is alive at the peak."""
        return "\n".join([*self._heading(), *self._bars(width, height), *self._alive(most)])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return str(self)

    def svg(self, width: int = 960, height: int = 480) -> str:
        """The drawing: equations from left to right, bytes of the arena upwards, a rectangle a block, whose tooltip
        names the values with shapes and lines; the outline is the sum of what is alive.
        """
        return "\n".join(_drawing(self, width, height)) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``svg()`` to a file, whose name ends in ".svg" or has no ending; ArgumentError for another."""
        if (ending := Path(path).suffix.lower()) not in ("", ".svg"):
            raise ArgumentError(f"memory_plan: save writes SVG, no {ending[1:]}; call it {Path(path).stem}.svg")
        Path(path).write_text(self.svg(), encoding="utf-8")

    def _heading(self) -> Iterator[str]:
        yield f"{self.name or 'program'}: {len(self.live)} equations, {len(self.blocks)} blocks"
        yield f"arena {amount(self.size)}; all values in it {amount(self.values)}, alive at once {amount(self.peak)}"

    def _bars(self, width: int, height: int) -> Iterator[str]:
        if not self.peak:
            return
        count = min(width, len(self.live))
        edges = [round(k * len(self.live) / count) for k in range(count + 1)]
        highest = [max(self.live[a:b]) for a, b in itertools.pairwise(edges)]
        levels = [-(-8 * height * n // self.peak) for n in highest]
        for row in reversed(range(height)):
            line = "".join([BARS[min(max(n - 8 * row, 0), 8)] for n in levels])
            yield f"|{line}|" + (f" {amount(self.peak)}" if row == height - 1 else "")

    def _alive(self, most: int) -> Iterator[str]:
        if not self.peak:
            return
        alive = self.at_peak()
        yield f"alive at equation {self.live.index(self.peak)}:"
        for block in alive[:most]:
            yield f"{amount(block.nbytes):>10}  {_shown(block)}"
        if len(alive) > most:
            rest = f"{len(alive) - most} smaller blocks, which .text(most={len(alive)}) shows"
            yield f"{amount(sum(b.nbytes for b in alive[most:])):>10}  in {rest}"


def _shown(block: Block) -> str:
    """The values of a block: the first and the last, and how many are between."""
    *_, last = block.values
    more = "" if len(block.values) < 2 else f", then {last}"
    between = f", {len(block.values) - 2} more" if len(block.values) > 2 else ""
    return f"{block.values[0]}{between}{more}"


def amount(n: int) -> str:
    """Bytes in words.

    >>> amount(64), amount(4_500_000)
    ('64 B', '4.50 MB')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n >= size:
            return f"{n / size:.2f} {unit}"
    return f"{n} B"


def plan_of(program: Program) -> MemoryPlan:
    """The picture of a planned program."""
    plan = program.plan
    assert plan is not None
    blocks = list(_blocks(program))
    live = [0] * len(program.eqns)
    for block in blocks:
        for i in range(block.born, block.dies + 1):
            live[i] += block.nbytes
    arena = [v for v, p in enumerate(plan.places) if p.kind == "arena"]
    values = sum(program.nbytes(v) for v in arena)
    return MemoryPlan(program.name, plan.size, values, max(live, default=0), tuple(blocks), tuple(live))


def _blocks(program: Program) -> Iterator[Block]:
    """What lies in the arena, in the order of birth. A value written over an operand that dies continues its block."""
    assert program.plan is not None
    places = program.plan.places
    root = list(range(len(program.specs)))
    last: dict[int, int] = {}
    for i, e in enumerate(program.eqns):
        for v in e.values:
            last[root[v]] = i
        for v in e.outs:
            if places[v].kind == "view":
                root[v] = root[places[v].at]
    found: list[list[int]] = []
    of: dict[int, list[int]] = {}
    makers = {v: i for i, e in enumerate(program.eqns) for v in e.outs}
    for e in program.eqns:
        for v in e.outs:
            if places[v].kind != "arena" or not program.nbytes(v):
                continue
            over = [x for x in e.values if x in of and places[x] == places[v]]
            of[v] = of[over[0]] if over else []
            of[v].append(v)
            if not over:
                found.append(of[v])
    for chain in found:
        held = [Held(v, shown(program.specs[v]), *_made(program, makers[v])) for v in chain]
        taken = max(map(program.nbytes, chain))
        taken = -(-taken // ALIGNMENT) * ALIGNMENT
        end = max(last.get(chain[-1], 0), makers[chain[-1]])
        yield Block(places[chain[0]].at, taken, makers[chain[0]], end, tuple(held))


def _made(program: Program, i: int) -> tuple[str, str]:
    """What made a value, a group by its first ops, and the user's line."""
    e = program.eqns[i]
    body = dict(e.attrs).get("body")
    if body is None:
        return e.op, short(e.where)
    ops = [part.op for part in body.eqns]
    more = f" +{len(ops) - 4}" if len(ops) > 4 else ""
    return f"{e.op}({' '.join(ops[:4])}{more})", short(e.where)


COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f")


def _drawing(plan: MemoryPlan, width: int, height: int) -> Iterator[str]:
    left, top, right, bottom = 80, 48, 16, 40
    across, up = width - left - right, height - top - bottom
    steps, size = max(len(plan.live), 1), max(plan.size, plan.peak, 1)

    def x(i: float) -> str:
        return f"{left + across * i / steps:.2f}"

    def y(n: float) -> str:
        return f"{top + up * (1 - n / size):.2f}"

    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">'
    yield f'<rect width="{width}" height="{height}" fill="white"/>'
    first, second = plan._heading()
    yield f'<text x="{left}" y="18" font-size="14">{escape(first)}</text>'
    yield f'<text x="{left}" y="36" font-size="12">{escape(second)}</text>'
    for k, b in enumerate(plan.blocks):
        lines = "\n".join([f"{b.nbytes} bytes at {b.offset}, equations {b.born} to {b.dies}", *map(str, b.values)])
        place = f'x="{x(b.born)}" y="{y(b.offset + b.nbytes)}"'
        extent = f'width="{across * (b.dies + 1 - b.born) / steps:.2f}" height="{up * b.nbytes / size:.2f}"'
        style = f'fill="{COLOURS[k % len(COLOURS)]}" fill-opacity="0.7" stroke="white" stroke-width="0.5"'
        yield f'<rect class="block" {place} {extent} {style}><title>{escape(lines)}</title></rect>'
    points = [f"{x(i + d)},{y(n)}" for i, n in enumerate(plan.live) for d in (0, 1)]
    yield f'<polyline class="live" points="{" ".join(points)}" fill="none" stroke="black" stroke-width="1.5"/>'
    axes = f"M{left},{top} V{top + up} H{left + across}"
    yield f'<path d="{axes}" fill="none" stroke="black"/>'
    crowded = up * (plan.size - plan.peak) < 14 * size
    for n in (0, plan.size) if crowded else (0, plan.peak, plan.size):
        yield f'<text x="{left - 6}" y="{y(n)}" font-size="11" text-anchor="end">{amount(n)}</text>'
    for i in dict.fromkeys((0, steps // 2, steps)):
        yield f'<text x="{x(i)}" y="{top + up + 16}" font-size="11" text-anchor="middle">{i}</text>'
    yield f'<text x="{left + across}" y="{height - 8}" font-size="11" text-anchor="end">equation</text>'
    yield "</svg>"
