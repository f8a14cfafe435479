"""The pass ``fuse``: elementwise ops of one shape that feed one another become one group, which a backend runs as one
kernel; with a contraction before them and reductions behind them where the backend takes these.

Equations are taken in an order that keeps groups open: whatever may join one comes before what may not. A group is
open until something outside reads one of its values; so a reader that has joined can never depend on what lies behind
the group, and groups never wait for one another in a circle. Two open groups that meet in one equation become one.

A group runs once the last of its operands is there. So an equation that brings a later operand makes the group wait,
and all the operands that would have died with it: it joins only where these take no more memory than what the group
would have left instead. (The sum of fifty gradients is fifty additions, and not one group that waits for all of them.)
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..backend import Spec
from ..op import broadcast_shapes
from ..program import FUSED, Body, Eqn, Lit, Program
from .rewrite import is_elementwise, spec_of
from .target import Target, is_foreign

REDUCTIONS = frozenset({"sum", "prod", "max", "min"})
CONTRACTIONS = frozenset({"matmul"})
LARGEST = 64
"""Equations of a group at most."""


@dataclass(eq=False)
class Group:
    """Equations that will be one. ``closed``: something outside reads a value, or a reduction ended it; ``time``: when
    the last operand is there, as the number of equations taken before.
    """

    shape: tuple[int, ...]
    members: list[int] = field(default_factory=list)
    closed: bool = False
    time: int = 0


def run(program: Program, target: Target) -> Program:
    """Groups of two equations and more become ``fused``; the others stay as they are."""
    takes = target.backend.fuses
    if not takes:
        return program
    takes -= {e.op for e in program.eqns if e.op in takes and is_foreign(e, program.specs, target)}
    uses = program.uses()
    eqns: list[Eqn] = []
    for members in _groups(program, takes):
        inside = set(members)
        parts = [program.eqns[i] for i in members]
        outs = tuple([v for e in parts for v in e.outs if not inside.issuperset(uses[v])])
        if outs or len(parts) == 1:  # or nothing needs them
            eqns.append(grouped(parts, outs, program.specs))
    return program.replace(eqns=_sorted(eqns, program))


def natural(eqn: Eqn, specs: Sequence[Spec]) -> bool:
    """Whether the operands alone give the result's shape: there is one to take it from."""
    shapes = [spec_of(x, specs).shape for x in eqn.ins]
    return bool(shapes) and broadcast_shapes(eqn.op, *shapes) == specs[eqn.outs[0]].shape


def _groups(program: Program, takes: frozenset[str]) -> list[list[int]]:
    """The equations of each group, in the order in which they were taken."""
    return _Fuser(program, takes).groups()


class _Fuser:
    """Takes equations one by one into groups."""

    def __init__(self, program: Program, takes: frozenset[str]) -> None:
        self.program, self.takes = program, takes
        self.eqns, self.specs, self.uses = program.eqns, program.specs, program.uses()
        self.makers = {v: i for i, e in enumerate(self.eqns) for v in e.outs}
        self.group_of: dict[int, Group] = {}
        self.simple = [
            e.op in takes and is_elementwise(e.op) and len(e.outs) == 1 and natural(e, self.specs) for e in self.eqns
        ]

    def groups(self) -> list[list[int]]:
        """All equations."""
        eqns, makers = self.eqns, self.makers
        missing = [len({makers[v] for v in e.values if v in makers}) for e in eqns]
        ready: list[tuple[bool, int]] = [(not self.simple[i], i) for i, n in enumerate(missing) if not n]
        heapq.heapify(ready)
        taken = 0
        while ready:
            _, i = heapq.heappop(ready)
            taken += 1
            self.take(i, taken)
            for r in {r for v in eqns[i].outs for r in self.uses[v] if r < len(eqns)}:
                missing[r] -= 1
                if not missing[r]:
                    heapq.heappush(ready, (not (self.simple[r] or self.ends(eqns[r])), r))
        return [g.members for g in {id(g): g for g in self.group_of.values()}.values()]

    def take(self, i: int, taken: int) -> None:
        """An equation into a group that is there, or a new one."""
        e = self.eqns[i]
        sources = list({id(g): g for m in self.sources(e) if (g := self.group_of[m])}.values())
        found = self.joined(e, sources, i)
        for group in sources:
            if group is not found:
                group.closed = True
                found.time = max(found.time, group.time)
        if not (self.simple[i] or self.ends(e)):
            found.time = taken
        found.members.append(i)
        self.group_of.update(dict.fromkeys(found.members, found))

    def sources(self, e: Eqn) -> list[int]:
        """The equations that give its operands."""
        return list(dict.fromkeys([self.makers[v] for v in e.values if v in self.makers]))

    def ends(self, e: Eqn) -> bool:
        """Whether it is a reduction that may stand at the end of a group."""
        return e.op in REDUCTIONS and e.op in self.takes

    def joined(self, e: Eqn, sources: Sequence[Group], i: int) -> Group:
        """The group that an equation joins, or begins."""
        program = self.program
        if self.ends(e):
            shape = spec_of(e.ins[0], self.specs).shape
            group = sources[0] if sources else None
            if group is None or group.closed or group.shape != shape or len(group.members) >= LARGEST:
                return Group(shape, closed=True)
            return group if _is_elementwise_value(e.ins[0], group, program) else Group(shape, closed=True)
        shape = self.specs[e.outs[0]].shape
        if not self.simple[i]:
            return Group(shape, closed=not (e.op in CONTRACTIONS and e.op in self.takes))
        near = [g for g in sources if not g.closed and g.shape == shape]
        groups = [g for g in near if all(_is_elementwise_value(v, g, program, False) for v in e.values)]
        time = max([g.time for g in sources], default=0)
        groups = [g for g in groups if g.time == time or not self.keeps(g)]
        heads = sum(_headed(g, program) for g in groups)
        if not groups or heads > 1 or sum(len(g.members) for g in groups) >= LARGEST:
            return Group(shape)
        first = groups[0]
        for other in groups[1:]:
            first.members += other.members
            first.time = max(first.time, other.time)
            other.members = []
        return first

    def keeps(self, g: Group) -> bool:
        """Whether to run a group later would keep more memory than to run it as soon as it can."""
        inside, program = set(g.members), self.program
        made = {v for i in g.members for v in self.eqns[i].outs}
        operands = {v for i in g.members for v in self.eqns[i].values if v in self.makers and v not in made}
        dying = sum([program.nbytes(v) for v in operands if inside.issuperset(self.uses[v])])
        return dying > sum([program.nbytes(v) for v in made if not inside.issuperset(self.uses[v])])


def _headed(g: Group, program: Program) -> bool:
    return any(program.eqns[i].op in CONTRACTIONS for i in g.members)


def _is_elementwise_value(x: object, g: Group, program: Program, inside: bool = True) -> bool:
    """Whether a value has the group's shape, and is no reduction's result. ``inside``: it must be the group's."""
    made = {v: program.eqns[i] for i in g.members for v in program.eqns[i].outs}
    if x not in made:
        return not inside
    return made[x].op not in REDUCTIONS


def grouped(parts: Sequence[Eqn], outs: tuple[int, ...], specs: Sequence[Spec]) -> Eqn:
    """One equation, which gives ``outs``, for those of a group. Contractions stand first, reductions last."""
    if len(parts) == 1:
        return parts[0]
    rank = {e.outs[0]: (e.op in REDUCTIONS) - (e.op in CONTRACTIONS) for e in parts}
    parts = sorted(parts, key=lambda e: rank[e.outs[0]])
    made = {v for e in parts for v in e.outs}
    ins = tuple(dict.fromkeys([v for e in parts for v in e.values if v not in made]))
    local = {v: i for i, v in enumerate((*ins, *[v for e in parts for v in e.outs]))}
    eqns = [
        e._replace(ins=tuple([x if isinstance(x, Lit) else local[x] for x in e.ins]), outs=(local[e.outs[0]],))
        for e in parts
    ]
    shape = next(specs[e.outs[0]].shape for e in parts if e.op not in REDUCTIONS)
    body = Body(len(ins), tuple([specs[v] for v in local]), tuple(eqns), tuple([local[v] for v in outs]), shape)
    where = parts[0].where if len({e.where for e in parts}) == 1 else f"{parts[0].where} and others"
    return Eqn(FUSED, ins, outs, (("body", body),), where, parts[-1].region)


def _sorted(eqns: Sequence[Eqn], program: Program) -> tuple[Eqn, ...]:
    """Groups where their last part stood, or as soon as their operands are there."""
    position = {v: i for i, e in enumerate(program.eqns) for v in e.outs}
    makers = {v: i for i, e in enumerate(eqns) for v in e.outs}
    missing, readers = [0] * len(eqns), [list[int]() for _ in eqns]
    for i, e in enumerate(eqns):
        for m in {makers[v] for v in e.values if v in makers}:
            readers[m].append(i)
            missing[i] += 1
    place = [max([position[v] for v in e.outs], default=0) for e in eqns]
    ready = [(place[i], i) for i, n in enumerate(missing) if not n]
    heapq.heapify(ready)
    found = []
    while ready:
        _, i = heapq.heappop(ready)
        found.append(eqns[i])
        for r in readers[i]:
            missing[r] -= 1
            if not missing[r]:
                heapq.heappush(ready, (place[r], r))
    return tuple(found)
