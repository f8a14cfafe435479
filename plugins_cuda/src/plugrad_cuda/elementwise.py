"""Elementwise kernels: chooses a form for operands as they lie, generates and launches it. A choice is planned once per
layouts and remembered, so that a repeated call costs a look-up, an allocation and a launch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from . import expressions
from .array import DeviceArray
from .generate import Form, Function, entry, kernel_name, lanes_of, strided_walk
from .layout import Ints, Layout, broadcast, broadcast_strides, collapse, dense
from .runtime import Runtime
from .text import BLOCK, STORED, blocks, needs_64, short

BOOL, FLOAT = np.dtype(np.bool_), np.dtype(np.float32)
_PLANS = 1 << 14
P = TypeVar("P")


class Plan(NamedTuple):
    """A launch without its addresses. Without a kernel nothing is to be done: the result has no elements."""

    kernel: Any
    config: Any
    result: Layout
    arguments: tuple[np.generic, ...]


def plan(
    runtime: Runtime, function: Function, result: Layout, operands: tuple[Layout | str, ...], aligned: bool
) -> Plan:
    """The launch of a function on operands that are broadcast to the result; instead of a layout "s" or "n"."""
    n = result.size
    if not n:
        return Plan(None, None, result, ())
    given = [broadcast_strides(x, result.shape) for x in operands if not isinstance(x, str)]
    sizes, (to, *found) = collapse(result.shape, [result.strides, *given])
    strides = iter(found)
    placed = [(x, None) if isinstance(x, str) else _lies(sizes, next(strides)) for x in operands]
    wide = needs_64(n, sizes, [to, *found])
    if len(sizes) == 1 and to[0] in (1, 0) and not any(lies == "v" for lies, _ in placed):
        lanes = lanes_of(function) if aligned and n >= 4 * BLOCK else 1
        form = Form("".join(lies for lies, _ in placed), lanes, 0, wide)
        arguments: tuple[np.generic, ...] = ((np.int64 if wide else np.uint32)(n),)
    else:
        letters = ["v" if lies == "d" else lies for lies, _ in placed]
        moving = [s for letter, (_, s) in zip(letters, placed, strict=True) if letter == "v" and s is not None]
        lanes, form = 1, Form("".join(letters), 0, len(sizes), wide)
        walked = strided_walk(form, sizes, (to, *moving))
        arguments = ((np.int64 if wide else np.uint32)(n), *walked.arguments)
    name = kernel_name(function, form)
    kernel = runtime.kernel(function.name, name, lambda: [entry(f, form) for f in alike(function, form)])
    return Plan(kernel, runtime.config(blocks(n, lanes), BLOCK), result, arguments)


def alike(function: Function, form: Form) -> list[Function]:
    """The functions to compile together: of dense forms all ops of the same dtypes, since a program that uses one
    uses others.
    """
    rows = FAMILIES.get(len(function.operands), ())
    if not form.lanes or function.name not in {name for name, _ in rows}:
        return [function]
    key = expressions.kind(function.operands[-1])
    found = [function._replace(name=name, expression=kinds[key]) for name, kinds in rows if key in kinds]
    return found if function in found else [function]


def _lies(sizes: Ints, strides: Ints) -> tuple[str, Ints]:
    """How an operand lies in a collapsed walk."""
    if not any(strides):
        return "u", strides
    return ("d" if len(sizes) == 1 and strides[0] == 1 else "v"), strides


def remember(plans: dict[Any, P], key: Any, made: P) -> P:
    """Keep a plan; very many are forgotten together."""
    if len(plans) >= _PLANS:
        plans.clear()
    plans[key] = made
    return made


class Elementwise:
    """An elementwise op of the table: call it on values, or ``into`` a value. One operand may be a Python scalar."""

    def __init__(self, name: str, kinds: expressions.Kinds, boolean: bool = False) -> None:
        self.name, self._kinds, self._boolean = name, kinds, boolean
        self._plans: dict[Any, Plan] = {}

    def __call__(self, *values: Any) -> Any:
        runtime, key, pointers = self._key(values)
        if runtime is None:
            return NotImplemented
        made = self._plans.get(key)
        if made is None:
            made = remember(self._plans, key, self._plan(runtime, values, None, not _bits(pointers) & 15))
        out = runtime.empty(made.result, self.name)
        if made.kernel is not None:
            runtime.launch(self.name, made.kernel, made.config, out.pointer, *pointers, *made.arguments)
        return out

    def into(self, out: DeviceArray, *values: Any) -> Any:
        """Write the result into ``out``, which may be one of the operands."""
        runtime, key, pointers = self._key(values)
        if runtime is None:
            return NotImplemented
        aligned = not (_bits(pointers) | out.pointer) & 15
        key = key, out.layout, aligned
        made = self._plans.get(key)
        if made is None:
            made = remember(self._plans, key, self._plan(runtime, values, out.layout, aligned))
        if made.kernel is not None:
            runtime.launch(self.name, made.kernel, made.config, out.pointer, *pointers, *made.arguments)
        return None

    def _key(self, values: tuple[Any, ...]) -> tuple[Any, Any, list[Any]]:
        """The runtime, what distinguishes plans, and the launch's arguments for the operands. No runtime: declined."""
        if len(values) == 2:
            x, y = values
            if type(x) is DeviceArray and type(y) is DeviceArray:
                a, b = x.pointer, y.pointer
                return x.runtime, (x.runtime, x.layout, y.layout, not (a | b) & 15), [a, b]
        like = next(v for v in reversed(values) if type(v) is DeviceArray)  # the condition of where comes first
        layouts: list[Any] = [like.runtime]
        pointers: list[Any] = []
        for v in values:
            if type(v) is DeviceArray:
                layouts.append(v.layout)
                pointers.append(v.pointer)
            else:
                scalar = as_scalar(v, like.layout.dtype)
                if scalar is None:
                    return None, None, pointers
                layouts.append("s")
                pointers.append(scalar)
        layouts.append(not _bits(pointers) & 15)
        return like.runtime, tuple(layouts), pointers

    def _plan(self, runtime: Runtime, values: tuple[Any, ...], result: Layout | None, aligned: bool) -> Plan:
        layouts = tuple([v.layout if type(v) is DeviceArray else "s" for v in values])
        known = [x for x in layouts if not isinstance(x, str)]
        key = known[-1].dtype
        dtypes = tuple([key if isinstance(x, str) else x.dtype for x in layouts])
        expression = self._kinds[key.kind]
        out = BOOL if self._boolean else key
        function = Function(self.name, expression, short(out), tuple(map(short, dtypes)))
        layout = result or dense(out, broadcast([x.shape for x in known]))
        return plan(runtime, function, layout, layouts, aligned)


def _bits(pointers: list[Any]) -> int:
    """All bits that are set in an address."""
    found = 0
    for p in pointers:
        if type(p) is int:
            found |= p
    return found


def as_scalar(value: Any, dtype: np.dtype) -> np.generic | None:
    """A Python scalar as a launch argument of the dtype; None where it does not fit."""
    if dtype == BOOL:
        return np.uint8(bool(value))
    try:
        if dtype == FLOAT and _LARGEST < abs(value) < math.inf:
            value = math.copysign(math.inf, value)  # as a cast would, but without NumPy's warning
        found: np.generic = dtype.type(value)
    except (OverflowError, ValueError, TypeError):
        return None
    return found


_LARGEST = float(np.finfo(np.float32).max)
_casts: dict[tuple[np.dtype, np.dtype], Elementwise] = {}


class _Cast(Elementwise):
    """Casts from one dtype to another."""

    def __init__(self, source: np.dtype, target: np.dtype) -> None:
        expression = expressions.conversion(short(source), short(target))
        super().__init__("cast", {source.kind: expression})
        self._target = target

    def _plan(self, runtime: Runtime, values: tuple[Any, ...], result: Layout | None, aligned: bool) -> Plan:
        (x,) = values
        function = Function("cast", self._kinds[x.dtype.kind], short(self._target), (short(x.dtype),))
        return plan(runtime, function, result or dense(self._target, x.shape), (x.layout,), aligned)


def cast(x: DeviceArray, *, dtype: np.dtype) -> Any:
    """The elements in another dtype."""
    key = x.layout.dtype, dtype
    found = _casts.get(key)
    if found is None:
        if short(dtype) not in STORED:
            return NotImplemented
        found = _casts.setdefault(key, _Cast(*key))
    return found(x)


def fill(runtime: Runtime, result: Layout, value: Any) -> DeviceArray:
    """New memory, every element the same."""
    scalar: Any = as_scalar(value, result.dtype)
    if scalar is None:  # a negative number in an unsigned dtype, say: as NumPy casts it
        scalar = np.asarray(value).astype(result.dtype)[()]
    name = short(result.dtype)
    made = plan(runtime, Function("full", "x", name, (name,)), result, ("s",), True)
    return _created("full", runtime, made, scalar)


def iota(runtime: Runtime, result: Layout) -> DeviceArray:
    """New memory, every element its own position."""
    function = Function("iota", expressions.conversion("i8", short(result.dtype)), short(result.dtype), ("i8",))
    return _created("iota", runtime, plan(runtime, function, result, ("n",), True))


def _created(op: str, runtime: Runtime, made: Plan, *scalars: np.generic) -> DeviceArray:
    out = runtime.empty(made.result, op)
    if made.kernel is not None:
        runtime.launch(op, made.kernel, made.config, out.pointer, *scalars, *made.arguments)
    return out


def copy_into(out: DeviceArray, x: DeviceArray) -> None:
    """Copy ``x`` into memory of the same shape, however both lie."""
    OPS["copy"].into(out, x)


FAMILIES: dict[int, tuple[tuple[str, expressions.Kinds], ...]] = {
    1: tuple(expressions.UNARY.items()),
    2: tuple(expressions.BINARY.items()),
}
"""Ops whose result has the operands' dtype, by the number of operands."""


def _table() -> dict[str, Elementwise]:
    rows = {**expressions.UNARY, **expressions.BINARY, **expressions.SELECTION}
    found = {name: Elementwise(name, kinds) for name, kinds in rows.items()}
    return found | {name: Elementwise(name, kinds, boolean=True) for name, kinds in expressions.COMPARISONS.items()}


OPS: dict[str, Elementwise] = _table()
"""Every elementwise op by name."""


def into_forms() -> dict[str, Callable[..., Any]]:
    """The in-place forms: of every op whose result has its operands' dtype."""
    return {name: op.into for name, op in OPS.items() if name not in expressions.COMPARISONS}
