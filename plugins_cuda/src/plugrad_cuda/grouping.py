"""The kernels of a group, from its text and how its operands lie. Knows no array and no device.

How an operand lies in a walk: ``d`` its elements are neighbours along the last axis, ``v`` anyhow, ``u`` it is one
element for all.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from . import expressions, reduction
from .bodies import Text
from .layout import Ints
from .text import BLOCK, COMPUTED, STORED, UNSIGNED, Entry, template, walk

_NAME = "NAME_OF_GROUP"


class Each(NamedTuple):
    """How an elementwise group is computed: each operand's letter, elements a step, axes, 64-bit positions or not.
    ``tail``: elements may be left over behind the last whole step.
    """

    lies: str
    lanes: int
    rank: int
    wide: bool
    tail: bool


class Reduced(NamedTuple):
    """How a group that ends in reductions over the same axes is computed: operands' letters, the cut, and whether the
    launch gives results or partial ones. ``ends`` are the positions of the reductions that it does; ``writes`` whether
    it also writes the results of the group's other ops.
    """

    lies: str
    cut: reduction.Shape
    part: bool
    ends: Ints
    writes: bool


def named(text: str) -> Entry:
    """A kernel by the name of its text."""
    name = f"fused_{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    return name, text.replace(_NAME, name)


def each(text: Text, form: Each) -> Entry:
    """The kernel of an elementwise group."""
    strided = form.rank > 0
    count = sum(lies != "u" for lies in form.lies)
    walked = walk("axis", "i", (1,) * form.rank, ((0,) * form.rank,) * count, form.wide, "    ") if strided else None
    offsets = iter(walked.offsets if walked else ("i",) * count)
    loads, operands, single = [], [], []
    for k, (lies, dtype) in enumerate(zip(form.lies, text.operands, strict=True)):
        if lies == "u":
            operands.append(f"u{k}")
            single.append(f"u{k}")
            continue
        offset, ctype = next(offsets), STORED[dtype]
        if lies == "d" and form.lanes > 1:
            pack = f"Pack<{ctype}, {form.lanes}>"
            at, which = (f"a{k} + ({offset})", 0) if strided else (f"a{k}", "i")
            loads.append(f"    const {pack} p{k} = reinterpret_cast<const {pack} *>({at})[{which}];")
            operands.append(f"p{k}.at[k]")
        else:
            loads.append(f"    const {ctype} p{k} = a{k}[{offset}];")
            operands.append(f"p{k}")
        single.append(f"a{k}[i]")
    stores = []
    for k, v in enumerate(text.written):
        pack = f"Pack<{STORED[text.dtype(v)]}, {form.lanes}>"
        loads.append(f"    {pack} r{k};")
        operands.append(f"r{k}.at[k]")
        single.append(f"o{k}[i]")
        stores.append(f"    reinterpret_cast<{pack} *>(o{k})[i] = r{k};")
    index = "int64" if form.wide else "uint32"
    tail = f"  for ({index} i = n / {form.lanes} * {form.lanes} + first; i < n; i += step) "
    body = template("fused.cu", "each").substitute(
        name=_NAME,
        parameters=_parameters(text, True, ()),
        index=index,
        extents=walked.parameters if walked else "",
        lanes=form.lanes,
        once=_once(text, form.lies),
        coordinates=walked.coordinates if walked else "",
        loads="\n".join(loads),
        lane_operands=", ".join(operands),
        stores="\n".join(stores),
        tail=f"{tail}body_{_NAME}({', '.join(single)});" if form.tail and form.lanes > 1 else "",
    )
    return named(text.function(_NAME, ()) + body)


def _parameters(text: Text, writes: bool, results: tuple[str, ...]) -> str:
    """Results, results of reductions, operands: each a pointer."""
    found = [f"{STORED[text.dtype(v)]} *o{k}" for k, v in enumerate(text.written) if writes]
    found += [f"{ctype} *e{k}" for k, ctype in enumerate(results)]
    found += [f"const {STORED[dtype]} *a{k}" for k, dtype in enumerate(text.operands)]
    return ", ".join(found)


def _once(text: Text, lies: str) -> str:
    operands = enumerate(zip(lies, text.operands, strict=True))
    return "\n".join([f"  const {STORED[dtype]} u{k} = a{k}[0];" for k, (how, dtype) in operands if how == "u"])


def reduced(text: Text, form: Reduced) -> Entry:
    """The kernel of a group that ends in reductions."""
    cut, width = form.cut, BLOCK // form.cut.lanes
    count = sum(lies != "u" for lies in form.lies) + form.writes
    kept = walk("kept", "result", (1,) * cut.kept, [(0,) * cut.kept] * count, cut.wide, "      ")
    along = walk("along", "element", (1,) * cut.reduced, [(0,) * cut.reduced] * count, cut.wide, "        ")
    offsets = [f"{a} + {b}" for a, b in zip(kept.offsets, along.offsets, strict=True)]
    to = offsets.pop(0) if form.writes else ""
    moving = iter(offsets)
    operands = [f"u{k}" if how == "u" else f"a{k}[{next(moving)}]" for k, how in enumerate(form.lies)]
    values, lines = [], []
    for k, v in enumerate(text.written):
        values.append(f"        {STORED[text.dtype(v)]} y{k};")
        operands.append(f"y{k}")
        if form.writes:
            lines.append(f"        o{k}[{to}] = y{k};")
    parts: dict[str, list[str]] = {n: [] for n in ("shared", "totals", "saved", "joined", "taken", "finished")}
    functions = ""
    results = []
    position = f"{'int64' if cut.wide else 'uint32'}(blockIdx.y) * results + result"
    apart = 1 if cut.rows else width
    for k, end in enumerate(form.ends):
        op, dtype = text.ends[end].op, text.dtype(text.reduced[end])
        ctype, fold = COMPUTED[dtype], f"fold{k}_{_NAME}"
        functions += _fold(op, dtype, fold)
        results.append(STORED[dtype])
        values.append(f"        {ctype} z{k};")
        operands.append(f"z{k}")
        lines.append(f"        total{k} = {fold}(total{k}, z{k});")
        here, there = f"shared{k}[threadIdx.x]", f"shared{k}[threadIdx.x + half * {apart}]"
        parts["shared"].append(f"  __shared__ {ctype} shared{k}[{BLOCK}];")
        parts["totals"].append(f"    {ctype} total{k} = {reduction.FOLDS[op].identity(dtype)};")
        parts["saved"].append(f"      {here} = total{k};")
        parts["joined"].append(f"          {here} = {fold}({here}, {there});")
        parts["taken"].append(f"        total{k} = {here};")
        parts["finished"].append(f"      e{k}[{position}] = {STORED[dtype]}(total{k});")
    body = template("fused.cu", "reduced").substitute(
        name=_NAME,
        parameters=_parameters(text, form.writes, tuple(results)),
        index="int64" if cut.wide else "uint32",
        extents=kept.parameters + along.parameters,
        lanes=cut.lanes,
        width=width,
        slot=f"threadIdx.x / {cut.lanes}" if cut.rows else f"threadIdx.x % {width}",
        lane=f"threadIdx.x % {cut.lanes}" if cut.rows else f"threadIdx.x / {width}",
        once=_once(text, form.lies),
        kept=kept.coordinates,
        reduced=along.coordinates,
        values="\n".join(values),
        operands=", ".join(operands),
        folds="\n".join(lines),
        **{name: "\n".join(found) for name, found in parts.items()},
    )
    return named(functions + text.function(_NAME, tuple([text.reduced[end] for end in form.ends])) + body)


def _fold(op: str, dtype: str, name: str) -> str:
    """How two elements are joined."""
    ctype = COMPUTED[dtype]
    joined = expressions.BINARY[reduction.FOLDS[op].joins][expressions.kind(dtype)]
    using = f"using T = {ctype}; using U = {UNSIGNED.get(dtype, ctype)};"
    return f"__device__ inline {ctype} {name}({ctype} x, {ctype} y) {{ {using} return {joined}; }}\n"
