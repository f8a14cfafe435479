"""A checker of memory plans that shares nothing with the planner: it plays the program on the bytes.

Every byte of the arena, of given-up inputs and of outputs knows which value was written to it last. An equation may
read a value only while all its bytes are still its own, and write only where nothing that is read later lies.
"""

from __future__ import annotations

import numpy as np

from ..errors import PlugradError
from ..op import OPS
from ..program import ALIGNMENT, Eqn, Program, nbytes

_FREE = -1


class PlanError(PlugradError):
    """A plan in which one value overwrites another that is still needed."""


def check_plan(program: Program) -> None:
    """PlanError where the plan of a program loses a value; it names the equation and both values.

    >>> from plugrad.program import Eqn, Place, Plan, Program
    >>> from plugrad.backend import Spec
    >>> row = Spec((4,), np.dtype("float32"))
    >>> eqns = (Eqn("exp", (0,), (1,)), Eqn("sin", (0,), (2,)), Eqn("add", (1, 2), (3,)))
    >>> places = Place("input", 0), Place("arena", 0), Place("arena", 0), Place("output", 0)
    >>> check_plan(Program((row,) * 4, (0,), {}, eqns, (3,), plan=Plan(places, 64)))
    Traceback (most recent call last):
    plugrad.testing.plans.PlanError: plan: equation 2 (add) reads value 1, but value 2 was written over it
    """
    _Memory(program).play()


class _Memory:
    """The bytes of a running program, by the value that was written there last."""

    def __init__(self, program: Program) -> None:
        if program.plan is None:
            raise PlanError("plan: the program has none; give one that was planned")
        self.program, self.places = program, program.plan.places
        self.arena = np.full(program.plan.size, _FREE, np.int64)
        self.own: dict[tuple[str, int], np.ndarray] = {}
        self.root: dict[int, int] = {}
        for k, v in enumerate(program.inputs):
            self.own["input", k] = np.full(nbytes(program.specs[v]), v, np.int64)
            self.root[v] = v
        for v in program.consts:
            self.own["const", v] = np.full(nbytes(program.specs[v]), v, np.int64)
            self.root[v] = v

    def play(self) -> None:
        """All equations in their order."""
        for i, eqn in enumerate(self.program.eqns):
            what = f"equation {i} ({eqn.op})"
            for v in eqn.values:
                self.read(v, what)
            for v in eqn.outs:
                self.write(v, eqn, what)
        given_up = {pair[0] for pair in self.program.donated}
        for k, v in enumerate(self.program.inputs):
            if k not in given_up and not (self.own["input", k] == v).all():
                raise PlanError(f"plan: input {k} was written, and nobody gave it up")
        for v in self.program.outputs:
            if self.places[v].kind not in ("output", "donated"):
                raise PlanError(f"plan: output value {v} lies in memory of kind {self.places[v].kind!r}")
            self.read(v, "the end of the program")

    def bytes(self, v: int) -> np.ndarray:
        """The bytes of a value that has memory of its own."""
        place, size = self.places[v], nbytes(self.program.specs[v])
        if place.kind == "arena":
            if place.at % ALIGNMENT or place.at + size > len(self.arena):
                raise PlanError(f"plan: value {v} of {size} bytes does not fit at {place.at} of {len(self.arena)}")
            return self.arena[place.at : place.at + size]
        key = ("input" if place.kind == "donated" else place.kind, v if place.kind == "const" else place.at)
        found = self.own.setdefault(key, np.full(size, _FREE, np.int64))
        if len(found) != size:
            raise PlanError(f"plan: value {v} of {size} bytes is to lie in memory of {len(found)}")
        return found

    def read(self, v: int, what: str) -> None:
        """Whether what a value looks at is still there."""
        if v not in self.root:
            raise PlanError(f"plan: {what} reads value {v} before it is there")
        root = self.root[v]
        foreign = self.bytes(root)
        if (other := foreign[foreign != root]).size:
            raise PlanError(f"plan: {what} reads value {root}, but value {other[0]} was written over it")

    def write(self, v: int, eqn: Eqn, what: str) -> None:
        """A result into its memory."""
        if self.places[v].kind == "view":
            if eqn.op != "alias" and not OPS[eqn.op].alias:
                raise PlanError(f"plan: {what} gives no view, as value {v} is said to be")
            self.root[v] = self.root[eqn.values[0]]
            return
        self.root[v] = v
        target = self.bytes(v)
        for x in eqn.values:
            self.beside(self.root[x], x, v, target, eqn, what)
        target[:] = v

    def beside(self, root: int, x: int, v: int, target: np.ndarray, eqn: Eqn, what: str) -> None:
        """An operand may share memory with a result only as a whole, and where the op works at each place alone."""
        if not np.shares_memory(self.bytes(root), target) or not target.size:
            return
        a, b = self.program.specs[x], self.program.specs[v]
        parts = dict(eqn.attrs)["body"].eqns if eqn.op == "fused" else (eqn,)
        alone = all(OPS[part.op].elementwise for part in parts)
        update = eqn.op.startswith(("slice_update", "scatter")) and x == eqn.ins[0]
        same = root == x and a.shape == b.shape and a.dtype.itemsize == b.dtype.itemsize
        if (
            not same
            or not (alone or update)
            or (self.bytes(root) is not target and not _equal(self.bytes(root), target))
        ):
            raise PlanError(f"plan: {what} writes value {v} over its operand {x}, which it still reads")


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two pieces of memory are the same piece."""
    return a.__array_interface__["data"] == b.__array_interface__["data"] and len(a) == len(b)
