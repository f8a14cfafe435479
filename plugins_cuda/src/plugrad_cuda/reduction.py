"""Reductions: sum, prod, max, min, argmax, argmin from one text. Deterministic: the order of additions depends on the
shape and the strides only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import expressions
from .array import DeviceArray
from .elementwise import remember
from .layout import Ints, Layout, collapse, dense
from .runtime import Runtime
from .text import BLOCK, COMPUTED, STORED, UNSIGNED, Entry, needs_64, short, template, walk

_ENOUGH_BLOCKS = 512


class Fold(NamedTuple):
    """What a reduction does with elements: the op's name and the elementwise op that joins two of them."""

    name: str
    joins: str

    def identity(self, dtype: str) -> str:
        """An element that changes nothing, in C."""
        if self.name in ("sum", "prod"):
            return f"{COMPUTED[dtype]}({int(self.name == 'prod')})"
        return lowest(dtype) if "max" in self.name else highest(dtype)


FOLDS = {
    name: Fold(name, joins)
    for name, joins in (
        ("sum", "add"),
        ("prod", "mul"),
        ("max", "maximum"),
        ("min", "minimum"),
        ("argmax", "maximum"),
        ("argmin", "minimum"),
    )
}


def _bounds(dtype: str) -> tuple[str, str]:
    """The lowest and the highest value, in C."""
    if dtype == "b1":
        return "false", "true"
    if expressions.kind(dtype) == "f":
        largest = "__int_as_float(0x7f800000)" if dtype == "f4" else "__longlong_as_double(0x7ff0000000000000ll)"
        return f"-{largest}", largest
    bits = 8 * int(dtype[1])
    ctype = COMPUTED[dtype]
    if expressions.kind(dtype) == "u":
        return f"{ctype}(0)", f"{ctype}(~0ull)"
    return f"{ctype}(1ull << {bits - 1})", f"{ctype}((1ull << {bits - 1}) - 1)"


def lowest(dtype: str) -> str:
    """The lowest value of a dtype, in C."""
    return _bounds(dtype)[0]


def highest(dtype: str) -> str:
    """The highest value of a dtype, in C."""
    return _bounds(dtype)[1]


class Shape(NamedTuple):
    """How a launch is cut: threads that share a result, where they are neighbours, axes kept and reduced, positions."""

    lanes: int
    rows: bool
    kept: int
    reduced: int
    wide: bool


def kernel_name(fold: Fold, dtype: str, stage: str, shape: Shape) -> str:
    """A name that says everything: "sum_f4_whole_rows256_1_1"."""
    cut = f"{'rows' if shape.rows else 'columns'}{shape.lanes}_{shape.kept}_{shape.reduced}"
    return f"{fold.name}_{dtype}_{stage}_{cut}{'_wide' if shape.wide else ''}"


def entry(fold: Fold, dtype: str, stage: str, shape: Shape) -> Entry:
    """The functions and the kernel. ``stage``: "whole" from elements to results; "part" to partial results; "last"
    from those to results.
    """
    name = kernel_name(fold, dtype, stage, shape)
    zeros = [(0,) * shape.kept]
    kept = walk("kept", "result", (1,) * shape.kept, zeros, shape.wide, "      ")
    reduced = walk("along", "element", (1,) * shape.reduced, [(0,) * shape.reduced], shape.wide, "        ")
    width = BLOCK // shape.lanes
    arg = fold.name.startswith("arg")
    state = f"Best_{name}" if arg else COMPUTED[dtype]
    partial = state if arg else STORED[dtype]
    functions = (_best if arg else _plain)(fold, dtype, name, stage)
    text = template("reduction.cu").substitute(
        name=name,
        out=partial if stage == "part" else "int64" if arg else STORED[dtype],
        **{"in": partial if stage == "last" else STORED[dtype], "from": f"{kept.offsets[0]} + {reduced.offsets[0]}"},
        index="int64" if shape.wide else "uint32",
        state=state,
        lanes=shape.lanes,
        width=width,
        slot=f"threadIdx.x / {shape.lanes}" if shape.rows else f"threadIdx.x % {width}",
        lane=f"threadIdx.x % {shape.lanes}" if shape.rows else f"threadIdx.x / {width}",
        apart=1 if shape.rows else width,
        extents=kept.parameters + reduced.parameters,
        kept=kept.coordinates,
        reduced=reduced.coordinates,
    )
    return name, functions + text


def _plain(fold: Fold, dtype: str, name: str, stage: str) -> str:
    ctype = COMPUTED[dtype]
    joined = expressions.BINARY[fold.joins][expressions.kind(dtype)]
    using = f"using T = {ctype}; using U = {UNSIGNED.get(dtype, ctype)};"
    return (
        f"__device__ inline {ctype} identity_{name}() {{ return {fold.identity(dtype)}; }}\n"
        f"__device__ inline {ctype} lift_{name}({STORED[dtype]} x, int64 at) {{ return {ctype}(x); }}\n"
        f"__device__ inline {ctype} fold_{name}({ctype} x, {ctype} y) {{ {using} return {joined}; }}\n"
        f"__device__ inline {STORED[dtype]} finish_{name}({ctype} x) {{ return {STORED[dtype]}(x); }}\n"
    )


def _best(fold: Fold, dtype: str, name: str, stage: str) -> str:
    """Value and position of the extremum; the first of equal ones, and a NaN before all else."""
    ctype, state = COMPUTED[dtype], f"Best_{name}"
    better = "y.value > x.value" if fold.name == "argmax" else "y.value < x.value"
    same = "y.value == x.value"
    if expressions.kind(dtype) == "f":
        nan_x, nan_y = "x.value != x.value", "y.value != y.value"
        better = f"({nan_y} ? !({nan_x}) : {better})"
        same = f"({same} || ({nan_x} && {nan_y}))"
    last = stage == "last"
    source = state if last else STORED[dtype]
    lifted = "x" if last else f"{state}{{{ctype}(x), at}}"
    out = state if stage == "part" else "int64"
    return (
        f"struct {state} {{ {ctype} value; int64 at; }};\n"
        f"__device__ inline {state} identity_{name}() {{ return {{{fold.identity(dtype)}, {_NOWHERE}}}; }}\n"
        f"__device__ inline {state} lift_{name}({source} x, int64 at) {{ return {lifted}; }}\n"
        f"__device__ inline {state} fold_{name}({state} x, {state} y) {{\n"
        f"  return {better} || ({same} && y.at < x.at) ? y : x;\n}}\n"
        f"__device__ inline {out} finish_{name}({state} x) {{ return {'x' if stage == 'part' else 'x.at'}; }}\n"
    )


_NOWHERE = "0x7fffffffffffffffll"


Launch = tuple[Any, Any, tuple[Any, ...]]
"""Kernel, configuration and arguments after the addresses."""


class Plan(NamedTuple):
    """The launches of a reduction: one, or a first one into partial results and a second over these."""

    result: Layout
    first: Launch | None
    partial: Layout | None
    second: Launch | None


class Reduction:
    """A reduction of the table."""

    def __init__(self, fold: Fold) -> None:
        self.fold = fold
        self._plans: dict[Any, Plan] = {}

    def __call__(self, x: DeviceArray, *, axis: Any, keepdims: bool) -> DeviceArray:
        runtime = x.runtime
        key = runtime, x.layout, axis, keepdims
        made = self._plans.get(key)
        if made is None:
            made = remember(self._plans, key, self._plan(runtime, x.layout, axis, keepdims))
        name = self.fold.name
        out = runtime.empty(made.result, name)
        if made.first is None:
            return out
        kernel, config, arguments = made.first
        if made.partial is None or made.second is None:
            runtime.launch(name, kernel, config, out.pointer, x.pointer, *arguments)
            return out
        partial = runtime.empty(made.partial, name)
        runtime.launch(name, kernel, config, partial.pointer, x.pointer, *arguments)
        kernel, config, arguments = made.second
        runtime.launch(name, kernel, config, out.pointer, partial.pointer, *arguments)
        return out

    def _plan(self, runtime: Runtime, layout: Layout, axis: Any, keepdims: bool) -> Plan:
        """Axes are sorted into those that stay and those that go, and both collapsed."""
        axes = axis if isinstance(axis, tuple) else (axis,)
        rank = len(layout.shape)
        kept = [a for a in range(rank) if a not in axes]
        shape = tuple([1 if a in axes else n for a, n in enumerate(layout.shape) if keepdims or a not in axes])
        dtype = short(layout.dtype)
        arg = self.fold.name.startswith("arg")
        result = dense(np.dtype(np.int64) if arg else layout.dtype, shape)
        if not result.size:
            return Plan(result, None, None, None)
        sides = [([layout.shape[a] for a in side], [layout.strides[a] for a in side]) for side in (kept, list(axes))]
        (kept_sizes, (kept_strides,)), (sizes, (strides,)) = [collapse(tuple(n), [tuple(s)]) for n, s in sides]
        count = int(np.prod([layout.shape[a] for a in axes], dtype=np.int64))
        sliced, parts = cut(result.size, count, kept_strides, strides)
        wide = needs_64(max(layout.size, result.size * parts), layout.shape, [layout.strides])
        form = Shape(*sliced, len(kept_sizes), len(sizes), wide)
        first = self._launch(
            runtime, dtype, "whole" if parts == 1 else "part", form, result.size, count, parts,
            (kept_sizes, kept_strides), (sizes, strides),
        )  # fmt: skip
        if parts == 1:
            return Plan(result, first, None, None)
        width = layout.dtype.itemsize if not arg else 16
        partial = dense(np.dtype(np.uint8), (parts * result.size * width,))
        return Plan(result, first, partial, self.last(runtime, dtype, result.size, parts, wide))

    def last(self, runtime: Runtime, dtype: str, results: int, parts: int, wide: bool) -> Launch:
        """The launch that folds partial results, of each part one after the other; it takes the address of the results
        and of the partial ones.
        """
        form = Shape(8, False, 1, 1, wide)
        return self._launch(runtime, dtype, "last", form, results, parts, 1, ((results,), (1,)), ((parts,), (results,)))

    def _launch(
        self, runtime: Runtime, dtype: str, stage: str, form: Shape, results: int, count: int, parts: int,
        kept: tuple[Ints, Ints], reduced: tuple[Ints, Ints],
    ) -> Launch:  # fmt: skip
        name = kernel_name(self.fold, dtype, stage, form)
        kernel = runtime.kernel(self.fold.name, name, lambda: [entry(self.fold, dtype, stage, form)])
        number = np.int64 if form.wide else np.uint32
        arguments: list[Any] = [number(results), number(count), number(-(-count // parts))]
        for side, (sizes, strides) in (("kept", kept), ("along", reduced)):
            arguments += walk(side, "", sizes, [strides], form.wide).arguments
        width = BLOCK // form.lanes
        across = min(-(-results // width), 1 << 20)
        return kernel, runtime.config((across, parts), BLOCK), tuple(arguments)


def cut(results: int, count: int, kept: Ints, reduced: Ints) -> tuple[tuple[int, bool], int]:
    """Threads a result and how they are neighbours, and the number of parts."""
    rows = min(map(abs, reduced)) <= min(map(abs, kept)) or results == 1
    if rows:
        lanes = BLOCK if count >= 2 * BLOCK else 32 if count > 16 else 1
    else:
        lanes = 8 if count > 16 else 1
    blocks = -(-results // (BLOCK // lanes))
    parts = min(-(-_ENOUGH_BLOCKS // blocks), -(-count // (lanes * 16)), 1 << 15)
    if parts > 1:
        parts = -(-count // -(-count // parts))  # no empty part
    return (lanes, rows and lanes > 1), max(parts, 1)


OPS: dict[str, Reduction] = {name: Reduction(fold) for name, fold in FOLDS.items()}
