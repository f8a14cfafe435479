"""A program turned into steps: where each value lies, and which C function or Python call makes it.

Memory comes in bases, known when the program runs: the planned arena, private memory, scratch memory that lasts for
one equation, then one base for each input, constant, output and result of a Python call. ``equations`` holds what is
known about single ops; an op that is not there, or a call that its function turns down, is a Python step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from plugrad.backend import Spec
from plugrad.program import Eqn, Lit, Operand, Place, Program

from .layout import VIEWS, Layout, contiguous, moved
from .steps import Steps
from .view import View, code_of_dtype, constant

ARENA, PRIVATE, SCRATCH, INPUTS = range(4)
LINE = 64


class PythonStep(NamedTuple):
    """A call from Python, of an equation; ``results`` go to bases of their own, or into given layouts."""

    equation: int
    operands: tuple[Layout, ...]
    results: tuple[Layout, ...]


class Stretch(NamedTuple):
    """C steps that follow one another: begin, end, and the elements they work on."""

    begin: int
    end: int
    work: int


class Output(NamedTuple):
    """Memory for an output; ``donor`` is the position of the input that was given up for it, or -1."""

    base: int
    spec: Spec
    position: int
    donor: int


def _up(bytes: int) -> int:
    return -(-bytes // LINE) * LINE


class Lowering:
    """What the executor needs: ``steps``, ``stages`` over them, and who owns which base."""

    def __init__(self, program: Program, rules: Mapping[str, Callable[[Lowering, Eqn], bool]]) -> None:
        self.program = program
        self.steps = Steps()
        self.stages: list[PythonStep | Stretch] = []
        self.layouts: dict[int, Layout] = {}
        self.constants: dict[int, View] = {}
        self.outputs: list[Output] = []
        self.bases = INPUTS + len(program.inputs)
        self.private = self.scratch = 0
        self._roots: dict[int, int] = {}  # a donated output's base -> the input's
        self._used = self._begin = self._work = 0
        self._given()
        for i, eqn in enumerate(program.eqns):
            self._used = 0
            own = i not in program.foreign
            if not (own and self._moves(eqn)) and not (own and eqn.op in rules and rules[eqn.op](self, eqn)):
                self._call(i, eqn)
            self.steps.belongs(i)
        for position, v in enumerate(program.outputs):
            self._leave(position, v)
        self.steps.belongs(len(program.eqns))
        self._cut()

    # -- places

    def _base(self) -> int:
        self.bases += 1
        return self.bases - 1

    def _given(self) -> None:
        program = self.program
        for k, v in enumerate(program.inputs):
            self.layouts[v] = contiguous(INPUTS + k, 0, *program.specs[v])
        for v, value in program.consts.items():
            self.layouts[v] = self.constant(value)

    def constant(self, value: View) -> Layout:
        """The layout of a value that stays."""
        base = self._base()
        self.constants[base] = value
        return Layout(base, 0, value.shape, value.strides, value.dtype)

    def place(self, v: int) -> Place:
        """Where the plan has a value; without a plan, memory that no other value has."""
        program = self.program
        if program.plan is not None:
            return program.plan.places[v]
        at = program.outputs.index(v) if v in program.outputs else -1
        return Place("private" if at < 0 else "output", at)

    def is_inner(self, v: int) -> bool:
        """Whether a value stays inside, so that the order of its axes in memory is free."""
        return self.place(v).kind not in ("output", "donated")

    def result(self, v: int, order: Sequence[int] | None = None) -> Layout:
        """Where an equation's result goes: C-contiguous, or with the axes in another order."""
        program = self.program
        place, spec = self.place(v), program.specs[v]
        if place.kind == "arena":
            layout = contiguous(ARENA, place.at, *spec)
        elif place.kind in ("output", "donated") and v in program.outputs:
            layout = contiguous(self._base(), 0, *spec)
            donor = place.at if place.kind == "donated" else -1
            if donor >= 0:
                self._roots[layout.base] = INPUTS + donor
            self.outputs.append(Output(layout.base, spec, program.outputs.index(v), donor))
        else:
            layout = contiguous(PRIVATE, self.private, *spec)
            self.private += _up(layout.nbytes)
        self.layouts[v] = layout if order is None else layout.ordered(order)
        return self.layouts[v]

    def room(self, shape: Sequence[int], dtype: np.dtype) -> Layout:
        """Memory that lasts for this equation."""
        layout = contiguous(SCRATCH, self._used, shape, dtype)
        self._used += _up(layout.nbytes)
        self.scratch = max(self.scratch, self._used)
        return layout

    def spec(self, x: Operand) -> Spec:
        """Shape and dtype of an operand."""
        return Spec((), x.dtype) if isinstance(x, Lit) else self.program.specs[x]

    def operand(self, x: Operand) -> Layout:
        """Where an operand lies."""
        return self.constant(constant(x.value, x.dtype)) if isinstance(x, Lit) else self.layouts[x]

    # -- overlap

    def overlap(self, x: Layout, y: Layout) -> bool:
        """Whether two layouts may share a byte."""
        if self._roots.get(x.base, x.base) != self._roots.get(y.base, y.base):
            return False
        (a, b), (c, d) = x.span, y.span
        return a < d and c < b

    def same(self, x: Layout, y: Layout) -> bool:
        """Whether two layouts are the same window."""
        if self._roots.get(x.base, x.base) != self._roots.get(y.base, y.base) or x.offset != y.offset:
            return False
        return x.shape == y.shape and x.strides == y.strides and x.dtype.itemsize == y.dtype.itemsize

    def clear_of(self, x: Layout, outs: Sequence[Layout]) -> Layout:
        """``x``, or a copy of it if a result would be written over it."""
        return self.copied(x) if any(self.overlap(x, out) for out in outs) else x

    def packed(self, x: Layout, outs: Sequence[Layout] = ()) -> Layout:
        """``x`` in C order, and clear of results."""
        return self.clear_of(x, outs) if x.contiguous else self.copied(x)

    def copied(self, x: Layout) -> Layout:
        """A copy that lasts for this equation."""
        out = self.room(x.shape, x.dtype)
        self.copy(out, x)
        return out

    def copy(self, out: Layout, x: Layout) -> None:
        """A step that copies; the two are disjoint or the same."""
        if x.size == 0 or self.same(out, x):
            return
        bytes = x.nbytes if x.contiguous and out.contiguous else -1
        self.steps.copy((out.ref, x.ref), x.shape, out.strides, x.strides, x.dtype.itemsize, bytes)

    # -- stages

    def _cut(self) -> None:
        """End the stretch of C steps."""
        if self.steps.count > self._begin:
            self.stages.append(Stretch(self._begin, self.steps.count, self.steps.work - self._work))
        self._begin, self._work = self.steps.count, self.steps.work

    def _moves(self, eqn: Eqn) -> bool:
        """A movement op, as a view or else as a copy; constants are left where they are."""
        if eqn.op not in VIEWS:
            return False
        (x,), (v,) = eqn.ins, eqn.outs
        of = self.operand(x)
        layout = moved(eqn.op, of, dict(eqn.attrs))
        plan = self.program.plan
        if layout is not None and (plan is None or plan.places[v].kind == "view" or of.base in self.constants):
            self.layouts[v] = layout
            return True
        out = self.result(v)
        if layout is None:  # a reshape: its elements in C order, which those of the result have too
            layout, out = of, contiguous(out.base, out.offset, of.shape, of.dtype)
        self.copy(out, self.clear_of(layout, () if self.same(layout, out) else (out,)))
        return True

    def _call(self, i: int, eqn: Eqn) -> None:
        """A Python step."""
        self._cut()
        operands = tuple([self.layouts[x] for x in eqn.values])
        results = []
        for v in eqn.outs:
            layout = self.result(v) if v in self.program.outputs else None
            if layout is None:
                layout = contiguous(self._base(), 0, *self.program.specs[v])
                self.layouts[v] = layout
            results.append(layout)
        self.stages.append(PythonStep(i, operands, tuple(results)))

    def _leave(self, position: int, v: int) -> None:
        """An output whose value does not lie in memory of its own is copied into such."""
        layout, spec = self.layouts[v], self.program.specs[v]
        if any(out.base == layout.base and out.position == position for out in self.outputs):
            return
        out = contiguous(self._base(), 0, *spec)
        self.outputs.append(Output(out.base, spec, position, -1))
        self.copy(out, layout)


def code(dtype: np.dtype) -> int:
    """The dtype's code in C."""
    return int(code_of_dtype(dtype))
