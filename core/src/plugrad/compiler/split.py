"""The pass ``split``: a part of a group that frees more memory than it takes runs ahead of the rest, where less memory
is planned then.

A group runs once the last of its operands is there, and keeps the others until then. The backward of a pooling keeps
the image until the cotangent comes, though all it wants of it is a few comparisons, which take much less memory.

The program stands in the order of ``schedule``, so that it is known what is alive at the peak. A group behind it is
divided if it alone keeps values alive there, and if these are more bytes than what the part leaves for its readers. The
program is scheduled and planned anew, and kept if its arena is clearly smaller; then comes the next peak.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..program import FUSED, Body, Eqn, Program, nbytes
from . import schedule
from .fuse import REDUCTIONS, grouped
from .plan import planned
from .rewrite import compacted
from .target import Target
from .views import roots

ROUNDS = 4
"""How often the program is scheduled anew."""
WORTH = 0.01
"""The share of the arena that has to be saved. Equations with as many bytes alive as at the peak, but for that share,
are peaks too.
"""


class Part(NamedTuple):
    """Equations of the body of group ``group``, by number; they can run right behind equation ``after``."""

    group: int
    early: frozenset[int]
    after: int


def run(program: Program, target: Target) -> Program:
    """Divide groups for as long as the arena becomes smaller."""
    done = [new for _, _, new in rounds(program, target)]
    return done[-1] if done else program


def rounds(program: Program, target: Target) -> Iterator[tuple[Program, list[Part], Program]]:
    """What is done in turn: a program, its groups' parts that run early, and the program with these."""
    for _ in range(ROUNDS):
        alive = schedule.alive(program)
        bound = (1 - WORTH) * max(alive, default=0)
        found = parts(program, [k for k, n in enumerate(alive) if n > bound])
        if not found:
            return
        new = schedule.run(divided(program, found), target)
        if _arena(new) > (1 - WORTH) * _arena(program):
            return
        yield program, found, new
        program = new


def _arena(program: Program) -> int:
    """The bytes of the planned arena."""
    plan = planned(compacted(program)).plan
    return plan.size if plan is not None else 0


def parts(program: Program, peaks: Iterable[int]) -> list[Part]:
    """What can run before an equation of ``peaks`` and leaves fewer bytes alive there."""
    lives, found = _Lives(program), dict[int, Part]()
    for peak in peaks:
        for i in range(peak + 1, len(program.eqns)):
            if program.eqns[i].op == FUSED and i not in found and (part := lives.part(i, peak)) is not None:
                found[i] = part
    return list(found.values())


def divided(program: Program, found: Iterable[Part]) -> Program:
    """The program with these parts as equations of their own, as early as they can run."""
    specs, eqns = list(program.specs), [[e] for e in program.eqns]
    for part in found:
        eqn = program.eqns[part.group]
        body: Body = eqn.attr("body")
        outer = {**dict(enumerate(eqn.values)), **dict(zip(body.outputs, eqn.outs, strict=True))}
        for v in range(body.operands, len(body.specs)):
            if v not in outer:
                outer[v] = len(specs)
                specs.append(body.specs[v])
        whole = [
            e._replace(
                ins=tuple([outer[x] if type(x) is int else x for x in e.ins]),
                outs=tuple(map(outer.__getitem__, e.outs)),
            )
            for e in body.eqns
        ]
        early = [e for k, e in enumerate(whole) if k in part.early]
        late = [e for k, e in enumerate(whole) if k not in part.early]
        read = {v for e in late for v in e.values}.union(eqn.outs)
        left = tuple([v for e in early for v in e.outs if v in read])
        eqns[part.group][0] = grouped(late, tuple([v for v in eqn.outs if v not in left]), specs)
        eqns[part.after].append(grouped(early, left, specs))
    return program.replace(specs=tuple(specs), eqns=_ordered([e for some in eqns for e in some]))


def _ordered(eqns: list[Eqn]) -> tuple[Eqn, ...]:
    """Views that an equation in front of them reads, before it."""
    makers = {v: e for e in eqns for v in e.outs}
    found: dict[int, Eqn] = {}

    def take(e: Eqn) -> None:
        for v in e.values:
            if v in makers and id(makers[v]) not in found:
                take(makers[v])
        found[id(e)] = e

    for e in eqns:
        if id(e) not in found:
            take(e)
    return tuple(found.values())


class _Lives:
    """When values are there, and which equations read them; views are there with what they see, and read nothing."""

    def __init__(self, program: Program) -> None:
        self.program, self.root = program, roots(program)
        self.born = {v: i for i, e in enumerate(program.eqns) for v in e.outs}
        self.kept = {self.root[v] for v in (*program.inputs, *program.consts, *program.outputs)}
        self.readers: dict[int, list[int]] = {}
        for i, e in enumerate(program.eqns):
            if all(self.root[v] == v for v in e.outs):
                for r in {self.root[v] for v in e.values}:
                    self.readers.setdefault(r, []).append(i)

    def part(self, group: int, peak: int) -> Part | None:
        """The part of a group that is better computed before the peak."""
        eqn = self.program.eqns[group]
        body: Body = eqn.attr("body")
        seen = [self.root[v] for v in eqn.values]
        there = {x for x, r in enumerate(seen) if self.born.get(r, -1) < peak}
        dying = {x for x in there if self.dies(seen[x], group, peak)}
        early = _early(body, there, dying)
        late = [e for k, e in enumerate(body.eqns) if k not in early]
        read = {v for e in late for v in e.values}
        freed = {seen[x] for x in dying} - {seen[x] for x in read if x < body.operands}
        taken = [v for k in early for v in body.eqns[k].outs if v in read or v in body.outputs]
        leaving = {v for v, out in zip(body.outputs, eqn.outs, strict=True) if out in self.kept}
        saved = sum(map(self.program.nbytes, freed)) - sum([nbytes(body.specs[v]) for v in taken])
        if not late or saved <= 0 or not leaving.isdisjoint(taken):  # an output may have to wait for an input's memory
            return None
        used = {seen[x] for k in early for x in body.eqns[k].values if x < body.operands}
        before = [self.born.get(r, -1) for r in used] + [i for r in freed for i in self.readers[r] if i != group]
        return Part(group, early, max(before))

    def dies(self, r: int, group: int, peak: int) -> bool:
        """Whether a value is alive at the peak for nothing but a group."""
        return r not in self.kept and all(i < peak or i == group for i in self.readers[r])


def _early(body: Body, there: set[int], dying: set[int]) -> frozenset[int]:
    """The equations that need no operands but those that are ``there``, as far as some of ``dying`` or what was made of
    it goes into them; those that they need; and the reductions of what they give, which must stand in its group.
    """
    able, touched = set(there), set(dying)
    found: set[int] = set()
    for k, e in enumerate(body.eqns):
        if able.issuperset(e.values):
            able.update(e.outs)
            if not touched.isdisjoint(e.values):
                touched.update(e.outs)
                found.add(k)
    needed = {v for k in found for v in body.eqns[k].values}
    for k in range(len(body.eqns) - 1, -1, -1):
        if not needed.isdisjoint(body.eqns[k].outs):
            found.add(k)
            needed.update(body.eqns[k].values)
    made = {v for k in found for v in body.eqns[k].outs}
    return frozenset(
        found.union([k for k, e in enumerate(body.eqns) if e.op in REDUCTIONS and made.issuperset(e.values)])
    )
