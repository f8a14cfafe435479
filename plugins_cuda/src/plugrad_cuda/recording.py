"""A program as launches: each equation is run once on made-up addresses, and what it launches is noted.

Equations that cannot be noted stay calls. Memory is in pieces: the plan's arena; what views needed copied, and what
kernels use while they work, which lie behind it; then each input and each output.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from plugrad.backend import Kernel, Spec
from plugrad.errors import DeviceError
from plugrad.program import ALIAS, ALIGNMENT, Eqn, Lit, Operand, Place, Plan, Program

from .array import DeviceArray
from .elementwise import copy_into, fill, iota
from .layout import Layout, dense
from .recorder import Noted, Recorder, Tape, Unrecordable, base, piece
from .text import short

ARENA, EXTRA, SCRATCH, FIRST = range(4)
"""Pieces of memory. ``FIRST`` is that of input 0."""

UPDATES = frozenset({"slice_update", "scatter_add"})

Where = tuple[int, int]
"""A piece of memory and an offset."""


class Tables(NamedTuple):
    """A backend's kernels."""

    kernels: Any
    into: Any


class Launch(NamedTuple):
    """A kernel to launch. An argument is a number, as launched, or a place."""

    op: str
    kernel: Any
    config: Any
    arguments: tuple[np.generic | int | Where, ...]


class Lies(NamedTuple):
    """Where a value lies: in a piece of memory or, with None, at an address."""

    piece: int | None
    offset: int
    layout: Layout


class Call(NamedTuple):
    """An equation that the core runs: its number, operands, and where its results are to be copied."""

    equation: int
    operands: tuple[Lies, ...]
    results: tuple[Lies, ...]


class Recording:
    """A program for inputs of these layouts, at addresses with these last four bits. ``steps`` are lists of launches,
    and calls between them.
    """

    def __init__(self, program: Program, tables: Tables, recorder: Recorder, inputs: tuple[tuple[Layout, int], ...]):
        assert program.plan is not None
        self.program, self.tables, self.recorder, self.plan = program, tables, recorder, program.plan
        self.inputs = inputs
        self.donors = {k: i for i, k in program.donated if inputs[i][0].dense and not inputs[i][1]}
        """For outputs in donated memory the input whose it is. Memory with gaps is left alone."""
        self.steps: list[list[Launch] | Call] = []
        self.why: dict[int, str] = {}
        """Why an equation is a call."""
        self.kept: list[Any] = []
        self.extra = self.scratch = 0
        self._bound: dict[int, Where] = {}
        self._literals: dict[Any, DeviceArray] = {}
        self._values: list[Any] = [None] * len(program.specs)
        first = FIRST + len(inputs)
        self.tape = Tape(first + len(program.outputs))
        with recorder.noting(self.tape):
            for k, (v, (layout, low)) in enumerate(zip(program.inputs, inputs, strict=True)):
                self._values[v] = recorder.value(base(FIRST + k) + low, layout)
            for v, value in program.consts.items():
                self._values[v] = recorder.value(value.pointer, value.layout)
            for i, eqn in enumerate(program.eqns):
                self._equation(i, eqn)
        self.reports = tuple(dict.fromkeys(self.tape.reports))
        self.kept += [*program.consts.values(), *self._literals.values()]
        del self._values, self._literals

    @property
    def launches(self) -> int:
        """How many there are."""
        return sum(len(step) for step in self.steps if isinstance(step, list))

    # -- equations

    def _equation(self, i: int, eqn: Eqn) -> None:
        """Note an equation, or leave it to the core."""
        tape, fresh = self.tape, self.tape.pieces
        noted, extra = len(tape.launches), self.extra
        try:
            if i in self.program.foreign:
                raise Unrecordable(f"{eqn.op}: another distribution's kernel comes first")
            self._placed(eqn, self._run(eqn), fresh)
        except (Unrecordable, DeviceError) as error:
            self.extra = extra
            self.why[i] = str(error)
            self.steps.append(self._call(i, eqn))
            return
        used = 0
        for k in range(fresh, tape.pieces):
            if k not in self._bound:
                self._bound[k] = SCRATCH, used
                used += _whole(tape.sizes[k])
        self.scratch = max(self.scratch, used)
        launches = [self._resolved(x) for x in tape.launches[noted:]]
        if launches and self.steps and isinstance(self.steps[-1], list):
            self.steps[-1] += launches
        elif launches:
            self.steps.append(launches)

    def _run(self, eqn: Eqn) -> tuple[Any, ...]:
        """The results of an equation on made-up values."""
        attrs = dict(eqn.attrs)
        if eqn.op == ALIAS:
            return (self._values[eqn.values[0]],)
        if eqn.op in ("full", "iota"):
            recorder: Any = self.recorder
            if eqn.op == "iota":
                return (iota(recorder, dense(attrs["dtype"], (attrs["size"],))),)
            return (fill(recorder, dense(attrs["dtype"], attrs["shape"]), attrs["value"]),)
        kernel = self._kernel(eqn)
        if eqn.op in UPDATES:
            return (self._updated(eqn, attrs),)
        found = NotImplemented
        if any(isinstance(x, Lit) for x in eqn.ins) and kernel.scalars and self._leads(eqn):
            found = kernel.fn(*[x.value if isinstance(x, Lit) else self._values[x] for x in eqn.ins], **attrs)
        if found is NotImplemented:
            found = kernel.fn(*map(self._value, eqn.ins), **attrs)
        if found is NotImplemented:
            raise Unrecordable(f"{eqn.op}: its kernel declined the call")
        return found if type(found) is tuple else (found,)

    def _kernel(self, eqn: Eqn) -> Kernel:
        """This package's kernel for an equation."""
        kernel = self.tables.kernels.get(eqn.op)
        if not isinstance(kernel, Kernel) or not eqn.ins:
            raise Unrecordable(f"{eqn.op}: there is no kernel")
        dtype = short(self._spec(eqn.ins[min(eqn.op == "where", len(eqn.ins) - 1)]).dtype)
        if kernel.dtypes is not None and dtype not in kernel.dtypes.split():
            raise Unrecordable(f"{eqn.op}: there is no kernel for {dtype}")
        return kernel

    def _leads(self, eqn: Eqn) -> bool:
        """Whether the last operand in memory says what dtype the numbers are of."""
        values = eqn.values
        return bool(values) and all(
            x.dtype == self.program.specs[values[-1]].dtype for x in eqn.ins if isinstance(x, Lit)
        )

    def _updated(self, eqn: Eqn, attrs: dict[str, Any]) -> Any:
        """An update in the memory of its operand, or in its own."""
        operands = [self._value(x) for x in eqn.ins]
        (v,) = eqn.outs
        out = self._target(v)
        if out.pointer == operands[0].pointer and operands[0].layout.dense:
            out = operands[0]
        if self.tables.into[eqn.op](out, *operands, **attrs) is NotImplemented:
            raise Unrecordable(f"{eqn.op}: its kernel declined the call")
        return out

    def _spec(self, x: Operand) -> Spec:
        return Spec((), x.dtype) if isinstance(x, Lit) else self.program.specs[x]

    def _value(self, x: Operand) -> Any:
        return self._literal(x) if isinstance(x, Lit) else self._values[x]

    def _literal(self, x: Lit) -> DeviceArray:
        """A number in memory of its own."""
        key = repr(x.value), x.dtype
        found = self._literals.get(key)
        if found is None:
            found = self._literals[key] = fill(self.recorder.runtime, dense(x.dtype, ()), x.value)
        return self.recorder.value(found.pointer, found.layout)

    # -- places

    def _target(self, v: int) -> DeviceArray:
        """A dense value where the plan has it."""
        spec, place = self.program.specs[v], self.plan.places[v]
        layout = dense(spec.dtype, spec.shape)
        if not layout.nbytes:
            return self.recorder.value(0, layout)
        if place.kind == "arena":
            return self.recorder.value(base(ARENA) + place.at, layout)
        if place.kind == "donated":
            k = self.program.outputs.index(v)
            if k in self.donors:
                return self.recorder.value(base(FIRST + self.donors[k]), layout)
            place = Place("output", k)
        if place.kind == "output":
            return self.recorder.value(base(FIRST + len(self.inputs) + place.at), layout)
        at, self.extra = self.extra, self.extra + _whole(layout.nbytes)
        return self.recorder.value(base(EXTRA) + at, layout)

    def _placed(self, eqn: Eqn, results: tuple[Any, ...], fresh: int) -> None:
        """Put results where the plan has them: new memory becomes that place, anything else is copied."""
        made: dict[int, Any] = {}
        for v, r in zip(eqn.outs, results, strict=True):
            if type(r) is not DeviceArray:
                raise Unrecordable(f"{eqn.op}: its result is no value of this backend")
            lies = piece(r.pointer) if r.layout.nbytes else None
            new = lies is not None and lies[0] >= fresh
            view = self.plan.places[v].kind == "view"
            if not r.layout.nbytes or (view and not new):
                made[v] = r
                continue
            target = self._target(v)
            whole = lies is not None and new and not lies[1] and r.layout.dense and lies[0] not in self._bound
            if lies is not None and whole and not self._retyped(eqn, v, target):
                self._bound[lies[0]] = piece(target.pointer) or (ARENA, 0)
            elif r.pointer != target.pointer or not r.layout.dense:
                copy_into(target, r)
            made[v] = target
        for v, value in made.items():
            self._values[v] = value

    def _retyped(self, eqn: Eqn, v: int, target: DeviceArray) -> bool:
        """Whether a result would be written over an operand of another dtype by one kernel: a compiler may take them
        for different memory, and write one before it reads the other.
        """
        specs = self.program.specs
        over = [x for x in eqn.values if self._values[x].pointer == target.pointer]
        return any(specs[x].dtype != specs[v].dtype for x in over)

    def _call(self, i: int, eqn: Eqn) -> Call:
        operands = tuple([self._lies(self._values[v]) for v in eqn.values])
        for v in eqn.outs:
            self._values[v] = self._target(v)
        return Call(i, operands, tuple([self._lies(self._values[v]) for v in eqn.outs]))

    def _lies(self, value: DeviceArray) -> Lies:
        where = piece(value.pointer)
        return Lies(None, value.pointer, value.layout) if where is None else Lies(*where, value.layout)

    def _resolved(self, noted: Noted) -> Launch:
        """A launch with the places that its addresses stand for."""
        arguments: list[Any] = []
        for x in noted.arguments:
            where = piece(x) if type(x) is int else None
            if where is not None and where[0] in self._bound:
                k, offset = self._bound[where[0]]
                where = k, offset + where[1]
            arguments.append(x if where is None else where)
        return Launch(noted.op, noted.kernel, noted.config, tuple(arguments))


def _whole(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def size_of(plan: Plan, recording: Recording) -> tuple[int, int, int]:
    """Where what views needed and what kernels use begin behind the arena, and the bytes of all."""
    extra = _whole(plan.size)
    scratch = extra + recording.extra
    return extra, scratch, scratch + recording.scratch
