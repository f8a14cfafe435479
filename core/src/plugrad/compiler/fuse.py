"""The pass ``fuse``: elementwise ops of one shape that feed one another become one group, which a backend runs as one
kernel; with a contraction before them and reductions behind them where the backend takes these.

Equations are taken in an order that keeps groups open: whatever may join one comes before what may not. A group is
open until something outside reads one of its values; so a reader that has joined can never depend on what lies behind
the group, and groups never wait for one another in a circle. Two open groups that meet in one equation become one.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..backend import Spec
from ..op import broadcast_shapes
from ..program import Body, Eqn, Lit, Program
from .rewrite import is_elementwise, spec_of
from .target import FUSED, Target

REDUCTIONS = frozenset({"sum", "prod", "max", "min"})
CONTRACTIONS = frozenset({"matmul"})
LARGEST = 64
"""Equations of a group at most."""


@dataclass
class Group:
    """Equations that will be one. ``closed``: something outside reads a value, or a reduction ended it."""

    shape: tuple[int, ...]
    members: list[int] = field(default_factory=list)
    closed: bool = False


def run(program: Program, target: Target) -> Program:
    """Groups of two equations and more become ``fused``; the others stay as they are."""
    takes = target.backend.fuses
    if not takes:
        return program
    uses = program.uses()
    eqns: list[Eqn] = []
    for members in _groups(program, takes):
        inside = set(members)
        parts = [program.eqns[i] for i in members]
        outs = tuple([v for e in parts for v in e.outs if not inside.issuperset(uses[v])])
        eqns.append(parts[0] if len(parts) == 1 else _fused(parts, outs, program))
    return program.replace(eqns=_sorted(eqns, program))


def natural(eqn: Eqn, specs: Sequence[Spec]) -> bool:
    """Whether the operands alone give the result's shape: there is one to take it from."""
    shapes = [spec_of(x, specs).shape for x in eqn.ins]
    return bool(shapes) and broadcast_shapes(eqn.op, *shapes) == specs[eqn.outs[0]].shape


def _groups(program: Program, takes: frozenset[str]) -> list[list[int]]:
    """The equations of each group, in the order in which they were taken."""
    eqns, specs = program.eqns, program.specs
    makers = {v: i for i, e in enumerate(eqns) for v in e.outs}
    readers: dict[int, list[int]] = {}
    missing = [0] * len(eqns)
    for i, e in enumerate(eqns):
        for m in {makers[v] for v in e.values if v in makers}:
            readers.setdefault(m, []).append(i)
            missing[i] += 1
    simple = [e.op in takes and is_elementwise(e.op) and len(e.outs) == 1 and natural(e, specs) for e in eqns]
    ready: list[tuple[bool, int]] = [(not simple[i], i) for i, n in enumerate(missing) if not n]
    heapq.heapify(ready)
    group_of: dict[int, Group] = {}
    while ready:
        _, i = heapq.heappop(ready)
        e = eqns[i]
        sources = [group_of[m] for m in dict.fromkeys([makers[v] for v in e.values if v in makers])]
        found = _joined(e, program, sources, takes, simple[i])
        for group in sources:
            if group is not found:
                group.closed = True
        found.members.append(i)
        group_of.update(dict.fromkeys(found.members, found))
        for r in readers.get(i, ()):
            missing[r] -= 1
            if not missing[r]:
                heapq.heappush(ready, (not (simple[r] or _ends(eqns[r], takes)), r))
    unique = {id(g): g for g in group_of.values()}
    return [g.members for g in unique.values()]


def _ends(e: Eqn, takes: frozenset[str]) -> bool:
    return e.op in REDUCTIONS and e.op in takes


def _joined(e: Eqn, program: Program, sources: Sequence[Group], takes: frozenset[str], simple: bool) -> Group:
    """The group that an equation joins, or begins."""
    specs = program.specs
    if _ends(e, takes):
        operand = e.ins[0]
        shape = spec_of(operand, specs).shape
        group = sources[0] if sources else None
        fits = group is not None and not group.closed and group.shape == shape and len(group.members) < LARGEST
        if fits and group is not None and _is_elementwise_value(operand, group, program):
            return group
        return Group(shape, closed=True)
    shape = specs[e.outs[0]].shape
    if not simple:
        return Group(shape, closed=not (e.op in CONTRACTIONS and e.op in takes))
    near = {id(g): g for g in sources if not g.closed and g.shape == shape}.values()
    groups = [g for g in near if all(_is_elementwise_value(v, g, program, False) for v in e.values)]
    heads = sum(_headed(g, program) for g in groups)
    if not groups or heads > 1 or sum(len(g.members) for g in groups) >= LARGEST:
        return Group(shape)
    first = groups[0]
    for other in groups[1:]:
        first.members += other.members
        other.members = []
    return first


def _headed(g: Group, program: Program) -> bool:
    return any(program.eqns[i].op in CONTRACTIONS for i in g.members)


def _is_elementwise_value(x: object, g: Group, program: Program, inside: bool = True) -> bool:
    """Whether a value has the group's shape, and is no reduction's result. ``inside``: it must be the group's."""
    made = {v: program.eqns[i] for i in g.members for v in program.eqns[i].outs}
    if x not in made:
        return not inside
    return made[x].op not in REDUCTIONS


def _fused(parts: Sequence[Eqn], outs: tuple[int, ...], program: Program) -> Eqn:
    """One equation, which gives ``outs``, for those of a group. Contractions stand first, reductions last."""
    rank = {e.outs[0]: (e.op in REDUCTIONS) - (e.op in CONTRACTIONS) for e in parts}
    parts = sorted(parts, key=lambda e: rank[e.outs[0]])
    made = {v for e in parts for v in e.outs}
    ins = tuple(dict.fromkeys([v for e in parts for v in e.values if v not in made]))
    local = {v: i for i, v in enumerate((*ins, *[v for e in parts for v in e.outs]))}
    eqns = [
        e._replace(ins=tuple([x if isinstance(x, Lit) else local[x] for x in e.ins]), outs=(local[e.outs[0]],))
        for e in parts
    ]
    shape = next(program.specs[e.outs[0]].shape for e in parts if e.op not in REDUCTIONS)
    specs = tuple([program.specs[v] for v in local])
    body = Body(len(ins), specs, tuple(eqns), tuple([local[v] for v in outs]), shape)
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
