"""The kernel ``fused``: a group as one launch, or a few where its reductions go over different axes or in parts.

A launch is planned once per body and layouts; its text is generated, named after itself and compiled at its first use.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from plugrad.program import Body

from . import grouping, reduction
from .array import DeviceArray
from .bodies import STORED_BYTES, Text, Unwritten
from .elementwise import remember
from .layout import Ints, Layout, broadcast_strides, collapse, dense, dense_strides
from .runtime import Runtime
from .text import BLOCK, blocks, needs_64, short, walk

MOST_OPERANDS = 64
MOST_ENDS = 8
"""Reductions of a launch; each takes shared memory."""

Pointer = tuple[str, int]
"""What an argument points to: ("out", k) result k of the group, ("in", k) operand k, ("part", k) partial results."""


class Launch(NamedTuple):
    """A launch without its addresses."""

    kernel: Any
    config: Any
    pointers: tuple[Pointer, ...]
    arguments: tuple[Any, ...]


class Plan(NamedTuple):
    """The launches of a group, its results, and the memory for partial results."""

    results: tuple[Layout, ...]
    partial: tuple[Layout, ...]
    launches: tuple[Launch, ...]


class _Known:
    """What is known of a body. Holds the body, by whose identity it is found."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.plans: dict[Any, Plan] = {}
        try:
            self.text: Text | None = Text(body)
        except Unwritten:
            self.text = None


_bodies: dict[int, _Known] = {}


def fused(*values: DeviceArray, body: Body) -> Any:
    """The group's results: one value, or a tuple of several. NotImplemented where its body has no text here."""
    known = _bodies.get(id(body))
    if known is None:
        known = remember(_bodies, id(body), _Known(body))
    if known.text is None or not values:
        return NotImplemented
    runtime = values[0].runtime
    aligned = not any([v.pointer & 15 for v in values])
    key = (runtime, aligned, *[v.layout for v in values])
    plan = known.plans.get(key)
    if plan is None:
        try:
            plan = remember(known.plans, key, _plan(runtime, known.text, tuple([v.layout for v in values]), aligned))
        except Unwritten:
            known.text = None
            return NotImplemented
    made = {
        "in": values,
        "out": [runtime.empty(layout, "fused") for layout in plan.results],
        "part": [runtime.empty(layout, "fused") for layout in plan.partial],
    }
    for kernel, config, pointers, arguments in plan.launches:
        runtime.launch("fused", kernel, config, *[made[kind][k].pointer for kind, k in pointers], *arguments)
    found = made["out"]
    return tuple(found) if len(found) > 1 else found[0]


def _plan(runtime: Runtime, text: Text, operands: tuple[Layout, ...], aligned: bool) -> Plan:
    body = text.body
    if len(operands) + len(body.outputs) > MOST_OPERANDS:
        raise Unwritten("more operands than a launch takes")
    results = tuple([dense(body.specs[v].dtype, body.specs[v].shape) for v in body.outputs])
    strides = tuple([broadcast_strides(x, body.shape) for x in operands])
    if not text.ends:
        launches = (_each(runtime, text, strides, aligned),) if math.prod(body.shape) else ()
        return Plan(results, (), launches)
    groups: dict[Ints, list[int]] = {}
    for k, end in enumerate(text.ends):
        axis = end.attr("axis")
        groups.setdefault(axis if isinstance(axis, tuple) else (axis,), []).append(k)
    partial: list[Layout] = []
    found: list[Launch] = []
    writes = bool(text.written) and math.prod(body.shape) > 0
    for axes, ends in groups.items():
        for at in range(0, len(ends), MOST_ENDS):
            found += _reduced(runtime, text, strides, axes, tuple(ends[at : at + MOST_ENDS]), writes, partial)
            writes = False
    return Plan(results, tuple(partial), tuple(found))


def _each(runtime: Runtime, text: Text, strides: tuple[Ints, ...], aligned: bool) -> Launch:
    """One launch for a group without reductions."""
    shape = text.body.shape
    n = math.prod(shape)
    sizes, (_, *walked) = collapse(shape, [dense_strides(shape), *strides])
    wide = needs_64(n, sizes, walked)
    number = np.int64 if wide else np.uint32
    fixed = [not any(s) for s in walked]
    moving = [s for s, one in zip(walked, fixed, strict=True) if not one]
    flat = len(sizes) == 1 and all(s[0] == 1 for s in moving)
    pointers = (*_written(text), *[("in", k) for k in range(len(strides))])
    lanes = _lanes(text, walked) if aligned and n >= 4 * BLOCK else 1
    if not flat and lanes > 1 and not _in_lanes(sizes, moving, lanes):
        lanes = 1
    if flat:
        lies = "".join(["u" if one else "d" for one in fixed])
        form, arguments = grouping.Each(lies, lanes, 0, wide, True), tuple[np.generic, ...]()
    else:
        lies = "".join(["u" if one else "d" if s[-1] == 1 else "v" for s, one in zip(walked, fixed, strict=True)])
        sizes = (*sizes[:-1], sizes[-1] // lanes)
        moving = [(*s[:-1], s[-1] * lanes) for s in moving]
        form = grouping.Each(lies, lanes, len(sizes), wide, False)
        arguments = walk("axis", "i", sizes, moving, wide).arguments
    name, source = grouping.each(text, form)
    kernel = runtime.kernel("fused", name, lambda: [(name, source)])
    return Launch(kernel, runtime.config(blocks(n, lanes), BLOCK), pointers, (number(n), *arguments))


def _written(text: Text) -> list[Pointer]:
    return [("out", text.body.outputs.index(v)) for v in text.written]


def _lanes(text: Text, strides: list[Ints]) -> int:
    """Elements in an access of 16 bytes of the widest dtype; at most 8."""
    moving = [d for d, s in zip(text.operands, strides, strict=True) if any(s)]
    widths = [STORED_BYTES[d] for d in (*moving, *map(text.dtype, text.written))]
    return min(8, 16 // max(widths))


def _in_lanes(sizes: Ints, moving: list[Ints], lanes: int) -> bool:
    """Whether every step of ``lanes`` neighbours lies within a row, and begins at a multiple of the access."""
    rows = all(s[-1] == 0 or (s[-1] == 1 and not any(step % lanes for step in s[:-1])) for s in moving)
    return rows and sizes[-1] % lanes == 0


def _reduced(
    runtime: Runtime, text: Text, strides: tuple[Ints, ...], axes: Ints, ends: Ints, writes: bool, partial: list[Layout]
) -> list[Launch]:
    """The launches for reductions over the same axes; memory for partial results is added to ``partial``."""
    shape = text.body.shape
    own = dense_strides(shape)
    kept = [a for a in range(len(shape)) if a not in axes]
    every = [own] * writes + [s for s in strides if any(s)]
    takes = [lambda xs, side=side: tuple([xs[a] for a in side]) for side in (kept, axes)]
    results, count = [math.prod(take(shape)) for take in takes]
    sides = [collapse(take(shape), [take(s) for s in every or [(0,) * len(shape)]]) for take in takes]
    (kept_sizes, kept_strides), (sizes, reduced_strides) = sides
    if not results:
        return []
    nearest = [collapse(take(shape), [take(own)])[1][0] for take in takes]
    cut, parts = reduction.cut(results, count, *nearest)
    wide = needs_64(max(results * count, results * parts), shape, [own, *strides])
    number = np.int64 if wide else np.uint32
    form = grouping.Reduced(
        "".join(["v" if any(s) else "u" for s in strides]),
        reduction.Shape(*cut, len(kept_sizes), len(sizes), wide),
        parts > 1,
        ends,
        writes,
    )
    name, source = grouping.reduced(text, form)
    kernel = runtime.kernel("fused", name, lambda: [(name, source)])
    arguments: list[Any] = [number(results), number(count), number(-(-count // parts))]
    given = len(every) > 0
    arguments += walk("kept", "", kept_sizes, kept_strides if given else [], wide).arguments
    arguments += walk("along", "", sizes, reduced_strides if given else [], wide).arguments
    config = runtime.config((min(-(-results // (BLOCK // cut[0])), 1 << 20), parts), BLOCK)
    operands = [("in", k) for k in range(len(strides))]
    outs = [("out", text.body.outputs.index(text.ends[k].outs[0])) for k in ends]
    written = _written(text) if writes else []
    if parts == 1:
        return [Launch(kernel, config, (*written, *outs, *operands), tuple(arguments))]
    first = len(partial)
    places = [("part", first + k) for k in range(len(ends))]
    found = [Launch(kernel, config, (*written, *places, *operands), tuple(arguments))]
    for out, place, end in zip(outs, places, ends, strict=True):
        dtype = text.body.specs[text.reduced[end]].dtype
        partial.append(dense(dtype, (parts * results,)))
        last = reduction.OPS[text.ends[end].op].last(runtime, short(dtype), results, parts, wide)
        found.append(Launch(last[0], last[1], (out, place), last[2]))
    return found
