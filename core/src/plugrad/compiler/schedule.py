"""The pass ``schedule``: an order in which little memory is alive.

The order of the program is kept, but for two things. What frees at least as much memory as it takes runs as soon as it
can: an optimizer's step right behind its gradient. What only takes memory and is cheap to have later (groups,
elementwise ops, fresh arrays, movement) waits for the first equation that reads it.
"""

from __future__ import annotations

from ..program import Eqn, Program
from .rewrite import is_elementwise
from .target import FUSED, Target

MOVES = frozenset({"reshape", "permute", "broadcast_to", "slice"})
_WAITING = MOVES | {FUSED, "full", "iota", "pad", "concat", "copy"}


def run(program: Program, target: Target) -> Program:
    """The same equations in another order."""
    return program.replace(eqns=tuple(_Scheduler(program).order()))


class _Scheduler:
    """Which equations were emitted, and how many readers each value still has."""

    def __init__(self, program: Program) -> None:
        self.program, self.eqns = program, program.eqns
        self.makers = {v: i for i, e in enumerate(self.eqns) for v in e.outs}
        self.root = {v: v for v in range(len(program.specs))}
        for e in self.eqns:
            if e.op in MOVES and e.values:
                self.root[e.outs[0]] = self.root[e.values[0]]
        kept = {self.root[v] for v in (*program.inputs, *program.consts, *program.outputs)}
        self.left = [0] * len(program.specs)
        self.readers: dict[int, list[int]] = {}
        for i, e in enumerate(self.eqns):
            for v in set(e.values):
                self.left[self.root[v]] += 1
                if v in self.makers:
                    self.readers.setdefault(self.makers[v], []).append(i)
        self.forever = kept
        self.missing = [len({self.makers[v] for v in e.values if v in self.makers}) for e in self.eqns]
        self.done = [False] * len(self.eqns)
        self.found: list[Eqn] = []

    def order(self) -> list[Eqn]:
        """All equations."""
        for i, e in enumerate(self.eqns):
            if not self.done[i] and not (self.waits(e) and self.growth(e) > 0):
                self.emit(i)
        for i in range(len(self.eqns)):
            if not self.done[i]:
                self.emit(i)
        return self.found

    def waits(self, e: Eqn) -> bool:
        """Whether it is as cheap later."""
        return e.op in _WAITING or is_elementwise(e.op)

    def growth(self, e: Eqn) -> int:
        """Bytes that it takes, less those that die with it."""
        taken = sum([self.program.nbytes(v) for v in e.outs if self.root[v] == v])
        roots = [self.root[v] for v in set(e.values)]
        dying = {r for r in roots if self.left[r] == roots.count(r) and r not in self.forever}
        return taken - sum(map(self.program.nbytes, dying))

    def emit(self, i: int) -> None:
        """An equation behind those it needs; then whatever has become ready and frees memory."""
        stack = [i]
        while stack:
            j = stack[-1]
            if self.done[j]:
                stack.pop()
                continue
            needs = sorted({m for v in self.eqns[j].values if (m := self.makers.get(v, j)) != j and not self.done[m]})
            if needs:
                stack += needs[::-1]
                continue
            stack.pop()
            self.done[j] = True
            self.found.append(self.eqns[j])
            for v in set(self.eqns[j].values):
                self.left[self.root[v]] -= 1
            freeing = []
            for r in self.readers.get(j, ()):
                self.missing[r] -= 1
                if not self.missing[r] and not self.done[r] and self.growth(self.eqns[r]) <= 0:
                    freeing.append(r)
            stack += freeing[::-1]
