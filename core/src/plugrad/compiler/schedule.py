"""The pass ``schedule``: an order in which little memory is alive.

Finding the best order is NP-hard, so a few simple ways to find a good one are tried, each order is played, and the one
with the lowest peak is kept, the program's own included. What frees at least as much memory as it takes runs as soon as
it can in all of them: an optimizer's step right behind its gradient. They differ in this:

* ``wait``: what only takes memory and is as cheap later (groups, elementwise ops, fresh arrays, movement) waits for the
  first equation that reads it.
* ``greedy``: of all that could run next, the equation that leaves the least memory alive; otherwise they keep the order
  of the program.

Each is tried with whatever takes more memory than it frees moved behind, too, right before its first reader.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

from ..program import FUSED, Eqn, Program
from .rewrite import is_elementwise
from .target import Target
from .views import MOVES, roots

_WAITING = {FUSED, "full", "iota", "pad", "concat", "copy"}
SMALL = 1 << 12
"""Bytes that are not worth waiting for: what waits for a number may hold an array."""
MOST = 3000
"""Equations beyond which no order is sought by comparing all that could run next."""


def run(program: Program, target: Target) -> Program:
    """The same equations in the order that keeps least memory alive."""
    orders = [list(range(len(program.eqns)))]
    for wait, greedy in itertools.product((True, False), repeat=2):
        if not greedy or len(program.eqns) <= MOST:
            orders.append(_Scheduler(program, wait, greedy).order())
    orders += [sunk(program, order) for order in orders]
    best = min(orders, key=lambda order: peak(program, order))
    return program.replace(eqns=tuple([program.eqns[i] for i in best]))


def peak(program: Program, order: Sequence[int]) -> int:
    """The most bytes that are alive at once."""
    return max(alive(program, order), default=0)


def alive(program: Program, order: Sequence[int] | None = None) -> list[int]:
    """The bytes that are alive while each equation runs, without inputs, constants and outputs."""
    order = range(len(program.eqns)) if order is None else order
    root, eqns = roots(program), program.eqns
    last = {root[v]: k for k, i in enumerate(order) for v in eqns[i].values}
    kept = {root[v] for v in (*program.inputs, *program.consts, *program.outputs)}
    found, now = [], 0
    ends: dict[int, int] = {}
    for k, i in enumerate(order):
        for v in eqns[i].outs:
            if root[v] == v and v not in kept:
                now += program.nbytes(v)
                ends[last.get(v, k)] = ends.get(last.get(v, k), 0) + program.nbytes(v)
        found.append(now)
        now -= ends.pop(k, 0)
    return found


def sunk(program: Program, order: Sequence[int]) -> list[int]:
    """The order with each equation that takes more memory than it frees right before the first that reads it."""
    root, eqns = roots(program), program.eqns
    kept = {root[v] for v in (*program.inputs, *program.consts, *program.outputs)}
    last = {root[v]: i for i in order for v in eqns[i].values}
    readers: dict[int, list[int]] = {}
    for i in order:
        for v in set(eqns[i].values):
            readers.setdefault(v, []).append(i)
    before: dict[int | None, int | None] = {None: None}  # by equation, the one that stands before it; None is the end
    place: dict[int | None, Fraction] = {None: Fraction(len(order))}
    front: int | None = None
    for k, i in zip(range(len(order) - 1, -1, -1), reversed(order), strict=True):
        e = eqns[i]
        later = [r for v in e.outs for r in readers.get(v, ())]
        taken = sum([program.nbytes(v) for v in e.outs if root[v] == v and v not in kept])
        freed = sum([program.nbytes(r) for r in {root[v] for v in e.values} if last[r] == i and r not in kept])
        first = min(later, key=place.__getitem__) if later and (taken > freed or e.op in MOVES) else front
        other = before[first]
        before[first], before[i] = i, other
        place[i] = Fraction(k) if first == front else (place[other] + place[first]) / 2
        front = i if first == front else front
    found, at = [], before[None]
    while at is not None:
        found.append(at)
        at = before[at]
    return found[::-1]


class _Scheduler:
    """Which equations were emitted, and how many readers each value still has."""

    def __init__(self, program: Program, wait: bool, greedy: bool) -> None:
        self.program, self.eqns, self.root = program, program.eqns, roots(program)
        self.wait, self.greedy = wait, greedy
        self.makers = {v: i for i, e in enumerate(self.eqns) for v in e.outs}
        self.outputs = set(program.outputs)
        self.forever = {self.root[v] for v in (*program.inputs, *program.consts, *program.outputs)}
        self.left = [0] * len(program.specs)
        self.needs = [sorted({self.makers[v] for v in e.values if v in self.makers}) for e in self.eqns]
        self.readers: list[list[int]] = [[] for _ in self.eqns]
        for i, e in enumerate(self.eqns):
            for v in set(e.values):
                self.left[self.root[v]] += 1
            for m in self.needs[i]:
                self.readers[m].append(i)
        self.missing = [len(needs) for needs in self.needs]
        self.done = [False] * len(self.eqns)
        self.found: list[int] = []

    def order(self) -> list[int]:
        """The numbers of all equations, in the new order."""
        if self.greedy:
            self.pick()
        for i, e in enumerate(self.eqns):
            if not self.done[i] and not (self.wait and self.waits(e)):
                self.emit(i)
        for i in range(len(self.eqns)):
            if not self.done[i]:
                self.emit(i)
        return self.found

    def waits(self, e: Eqn) -> bool:
        """Whether it is as cheap later, and takes memory until then. A view takes none, but what it sees does."""
        return e.op in MOVES or ((e.op in _WAITING or is_elementwise(e.op)) and self.growth([e]) > SMALL)

    def growth(self, chain: Sequence[Eqn]) -> int:
        """Bytes that equations leave alive, less those that die with them. Outputs have memory of their own."""
        made = {self.root[v] for e in chain for v in e.outs}
        reads: dict[int, int] = {}
        for e in chain:
            for v in set(e.values):
                reads[self.root[v]] = reads.get(self.root[v], 0) + 1
        dying = [r for r, n in reads.items() if self.left[r] == n and r not in self.forever and r not in made]
        kept = [v for e in chain for v in e.outs if self.root[v] == v and v not in self.outputs]
        kept = [v for v in kept if len(chain) == 1 or self.left[v] != reads.get(v, 0)]
        return sum(map(self.program.nbytes, kept)) - sum(map(self.program.nbytes, dying))

    def pick(self) -> None:
        """Emit what waits for nothing but waiting equations, always the one that leaves least alive."""
        anchors = [not (e.op in MOVES or e.op in _WAITING or is_elementwise(e.op)) for e in self.eqns]
        chains: dict[int, list[int]] = {}
        behind: list[set[int]] = []  # the anchors that an equation depends on, with nothing but waiting ones between
        for i in range(len(self.eqns)):
            near = set()
            for m in self.needs[i]:
                near |= {m} if anchors[m] else behind[m]
            behind.append(near)
        waiting = {i: set(behind[i]) for i, anchor in enumerate(anchors) if anchor}
        followers: dict[int, list[int]] = {}
        for i, near in waiting.items():
            for m in near:
                followers.setdefault(m, []).append(i)
        ready = [i for i, near in waiting.items() if not near]
        while ready:
            for i in ready:
                chains[i] = self.chain(i)
            best = min(ready, key=lambda i: (self.growth([self.eqns[j] for j in chains[i]]), i))
            ready.remove(best)
            if not self.done[best]:
                self.emit(best)
            for i in followers.get(best, ()):
                waiting[i].discard(best)
                if not waiting[i]:
                    ready.append(i)

    def chain(self, i: int) -> list[int]:
        """An equation and all that has to run before it."""
        found, todo = {i}, [i]
        while todo:
            new = [m for m in self.needs[todo.pop()] if not self.done[m] and m not in found]
            found.update(new)
            todo += new
        return sorted(found)

    def emit(self, i: int) -> None:
        """An equation behind those it needs; then whatever has become ready and frees memory."""
        stack = [i]
        while stack:
            j = stack[-1]
            if self.done[j]:
                stack.pop()
                continue
            needs = [m for m in self.needs[j] if not self.done[m]]
            if needs:
                stack += needs[::-1]
                continue
            stack.pop()
            self.done[j] = True
            self.found.append(j)
            for v in set(self.eqns[j].values):
                self.left[self.root[v]] -= 1
            freeing = []
            for r in self.readers[j]:
                self.missing[r] -= 1
                if not self.missing[r] and not self.done[r] and self.growth([self.eqns[r]]) <= SMALL:
                    freeing.append(r)
            stack += freeing[::-1]
