"""Why two neighbours are not in one group, and why an op stands between programs: derived again, only when asked.

The pass ``fuse`` itself notes nothing down. Here it is played once more on the program that it saw, with an ear at each
of its decisions; what it decides stays its own business. So is ``split``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..interpreters.stage import Graph
from ..ops.creation import TO_DEVICE
from ..program import Eqn, Program
from . import passes, split
from .fuse import CONTRACTIONS, LARGEST, REDUCTIONS, Group, _Fuser, _headed, natural
from .lower import Call
from .rewrite import is_elementwise, spec_of
from .target import Target


class Unfused(NamedTuple):
    """Two neighbours in two groups: ``reader`` reads what ``maker`` gives. ``maker`` is "" for an equation that stands
    alone because of all its neighbours.
    """

    reader: str
    reader_where: str
    maker: str
    maker_where: str
    why: str


def unfused(before: Program, target: Target, chosen: Sequence[passes.Pass]) -> list[Unfused]:
    """The reasons for a program as it was before all passes; none if it was never to be fused."""
    fuse = next((p for p in chosen if p.name == "fuse" and not p.foreign), None)
    if fuse is None or not target.backend.fuses:
        return []
    earlier = chosen[: list(chosen).index(fuse)]
    told = _Told(passes.apply(before, target, earlier, warn=False), target)
    groups = told.groups()
    return [*told.found, *told.alone(groups), *_divided(before, target, chosen)]


def _divided(before: Program, target: Target, chosen: Sequence[passes.Pass]) -> Iterator[Unfused]:
    """The neighbours that the pass ``split`` put into two groups."""
    at = next((k for k, p in enumerate(chosen) if p.name == "split" and not p.foreign), None)
    if at is None:
        return
    for program, found, _ in split.rounds(passes.apply(before, target, chosen[:at]), target):
        for group, early, _ in found:
            eqns = program.eqns[group].attr("body").eqns
            makers = {v: eqns[k] for k in early for v in eqns[k].outs}
            for e in [e for k, e in enumerate(eqns) if k not in early]:
                for maker in [makers[v] for v in dict.fromkeys(e.values) if v in makers]:
                    why = "ahead of the group it frees memory before the peak"
                    yield Unfused(e.op, e.where, maker.op, maker.where, why)


class _Before(NamedTuple):
    """A group as it was when the decision was made."""

    group: Group
    closed: bool
    time: int
    size: int
    headed: bool
    keeps: bool


class _Told(_Fuser):
    """Takes the same decisions, and tells of each pair that it leaves apart."""

    def __init__(self, program: Program, target: Target) -> None:
        super().__init__(program, target.backend.fuses)
        self.backend = target.backend.name
        self.found: list[Unfused] = []
        self.closer: dict[int, int] = {}
        """By group, the equation outside that read a value of it first."""

    def take(self, i: int, taken: int) -> None:
        e = self.eqns[i]
        near = {id(g): g for m in self.sources(e) if not (g := self.group_of[m]).closed}
        super().take(i, taken)
        for key, g in near.items():
            if g.closed:
                self.closer.setdefault(key, i)

    def joined(self, e: Eqn, sources: Sequence[Group], i: int) -> Group:
        states = {id(g): self.state(g) for g in sources}
        makers = [(m, states[id(self.group_of[m])]) for m in self.sources(e)]
        found = super().joined(e, sources, i)
        if is_elementwise(e.op) or e.op in REDUCTIONS:
            for m, was in makers:
                maker = self.eqns[m]
                fits = is_elementwise(maker.op) or maker.op in REDUCTIONS | CONTRACTIONS
                if fits and m not in found.members:
                    why = self.why(e, i, m, was, list(states.values()))
                    self.found.append(Unfused(e.op, e.where, maker.op, maker.where, why))
        return found

    def state(self, g: Group) -> _Before:
        """A group as it is now."""
        return _Before(g, g.closed, g.time, len(g.members), _headed(g, self.program), self.keeps(g))

    def why(self, e: Eqn, i: int, m: int, was: _Before, states: list[_Before]) -> str:
        """Why an equation did not join the group of another."""
        return next(self.reasons(e, i, m, was, states), "the pass `fuse` put them into two groups")

    def reasons(self, e: Eqn, i: int, m: int, was: _Before, states: list[_Before]) -> Iterator[str]:
        maker = self.eqns[m]
        for eqn, j in ((e, i), (maker, m)):
            if eqn.op not in self.takes:
                yield f"{self.backend} does not fuse {eqn.op}"
            elif is_elementwise(eqn.op) and not self.simple[j]:
                shaped = natural(eqn, self.specs)
                yield f"{eqn.op} has several results" if shaped else f"no operand of {eqn.op} has its result's shape"
        if maker.op in REDUCTIONS:
            yield f"the reduction {maker.op} ends its group"
        shape = (spec_of(e.ins[0], self.specs) if self.ends(e) else self.specs[e.outs[0]]).shape
        if was.group.shape != shape:
            yield f"shapes differ: {was.group.shape} and {shape}"
        if was.closed:
            reader = self.eqns[self.closer[id(was.group)]] if id(was.group) in self.closer else None
            ended = "a reduction ends its group" if reader is None else f"{reader.op} outside its group read it first"
            yield ended
        if sum(s.size for s in states if not s.closed) >= LARGEST:
            yield f"the group would have more than {LARGEST} equations"
        if was.time < max(s.time for s in states) and was.keeps:
            yield "its group would wait, and keep more memory alive"
        if sum(s.headed for s in states) > 1:
            yield "a group begins with one contraction only"
        if self.ends(e):
            yield "a reduction ends one group only"
        yield from self.mixed(e)

    def mixed(self, e: Eqn) -> Iterator[str]:
        """A reduction's result among the operands."""
        made = [self.eqns[self.makers[v]] for v in e.values if v in self.makers]
        if any(other.op in REDUCTIONS for other in made):
            yield "another operand is the result of a reduction"

    def alone(self, groups: list[list[int]]) -> Iterator[Unfused]:
        """The elementwise equations that are groups of one, and not told of yet."""
        told = {(u.reader, u.reader_where) for u in self.found} | {(u.maker, u.maker_where) for u in self.found}
        for members in groups:
            e = self.eqns[members[0]]
            if len(members) == 1 and is_elementwise(e.op) and (e.op, e.where) not in told:
                makers = {self.eqns[m].op for m in self.sources(e)} or {"an input"}
                readers = {
                    self.eqns[r].op if r < len(self.eqns) else "the caller" for v in e.outs for r in self.uses[v]
                }
                gets, gives = " and ".join(sorted(makers)), " and ".join(sorted(readers)) or "nobody"
                yield Unfused(e.op, e.where, "", "", f"alone between {gets} and {gives}")


def apart(call: Call) -> str:
    """Why an op stands between programs."""
    op = call.op
    if op is TO_DEVICE:
        return "a move between devices"
    if any(isinstance(v, Graph) for v in call.attrs.values()):
        return "control flow: its graphs are compiled by themselves"
    if len({(v.be, v.dev) for v in (*call.ins, *call.outs)}) > 1:
        return "operands on several devices"
    if op.run is not None or op.opaque:
        return "it is no kernel's work"
    return "no kernel on this backend for such operands: " + (
        "it goes through the host" if op.decompose is None else "it is composed of others as it runs"
    )
