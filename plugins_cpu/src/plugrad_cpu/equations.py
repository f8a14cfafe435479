"""How single ops become C steps: ``rules`` has a function ``rule(lowering, equation) -> bool`` for each. False leaves
the equation to a call from Python, and must come before anything was added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from plugrad.program import Body, Eqn

from .fused import REDUCTIONS, Declined, Group
from .layout import Layout
from .lowering import Lowering, code
from .nest import kept_strides
from .steps import gemm_bytes, has, has_fold, has_row
from .view import constant

Rule = Callable[[Lowering, Eqn], bool]
INT64 = np.dtype("int64")


# -- elementwise ops and groups


def elementwise(low: Lowering, eqn: Eqn) -> bool:
    """One row where all operands are flat, else a group of one op."""
    (v,), specs = eqn.outs, [low.spec(x) for x in eqn.ins]
    spec = low.program.specs[v]
    codes, out_code = tuple([code(s.dtype) for s in specs]), code(spec.dtype)
    if len(specs) > 3 or not has_row(eqn.op, codes, out_code):
        return False
    if 0 in spec.shape:
        low.result(v)
        return True
    ins = [low.operand(x) for x in eqn.ins]
    order = _order(low, ins, eqn.outs, spec.shape)
    steps = [_flat(x, spec.shape, order) for x in ins]
    if None in steps or not any(steps[-2:]) or (len(steps) == 3 and steps[0] == 0):
        n = len(ins)
        body = Body(n, (*specs, spec), (Eqn(eqn.op, tuple(range(n)), (n,), eqn.attrs),), (n,), spec.shape)
        return _group(low, body, ins, eqn.outs)
    out = low.result(v, order)
    ins = [x if low.same(x, out) else _apart(low, x, out) for x in ins]
    strides = (spec.dtype.itemsize, *steps)
    low.steps.row([out.ref, *[x.ref for x in ins]], eqn.op, codes, out_code, out.size, strides)
    return True


def _apart(low: Lowering, x: Layout, out: Layout) -> Layout:
    """An operand clear of the result, with its axes in the same order in memory."""
    if not low.overlap(x, out):
        return x
    to = low.room(x.shape, x.dtype)
    if x.shape == out.shape and (order := out.order) is not None:
        to = to.ordered(order)
    low.copy(to, x)
    return to


def _order(low: Lowering, ins: list[Layout], outs: tuple[int, ...], shape: tuple[int, ...]) -> Sequence[int] | None:
    """The order of axes in memory that all operands of the full shape have, and the results can have; None for C order.

    A transposed matrix is worked on as it lies, rather than turned at each op.
    """
    full = [x for x in ins if x.shape == shape]
    if not full or any(x.contiguous or not x.size for x in full) or not all(low.is_inner(v) for v in outs):
        return None
    order = full[0].order
    return order if all(x.order == order for x in full) else None


def _flat(x: Layout, shape: tuple[int, ...], order: Sequence[int] | None) -> int | None:
    """The stride at which all elements of a broadcast operand follow one another, or None."""
    if x.shape == shape and (x.contiguous if order is None else x.order == order):
        return x.dtype.itemsize
    return None if any(x.broadcast(shape)) else 0


def fused(low: Lowering, eqn: Eqn) -> bool:
    """A group."""
    body = eqn.attr("body")
    if not isinstance(body, Body) or 0 in body.shape:
        return False
    return _group(low, body, [low.operand(x) for x in eqn.ins], eqn.outs)


def _turned(body: Body, order: Sequence[int]) -> Body | None:
    """The body with the axes of its shape in another order; None where a reduction's result would be turned, too."""
    shape = tuple([body.shape[i] for i in order])
    eqns: list[Eqn] = []
    ends: set[int] = set()
    for e in body.eqns:
        if e.op in REDUCTIONS:
            kept = [i for i in order if i not in e.attr("axis")]
            if kept != sorted(kept):
                return None
            axis = tuple([k for k, i in enumerate(order) if i in e.attr("axis")])
            e = e._replace(attrs=(("axis", axis),))
            ends.update(e.outs)
        eqns.append(e)
    specs = [s if v in ends or s.shape != body.shape else s._replace(shape=shape) for v, s in enumerate(body.specs)]
    return Body(body.operands, tuple(specs), tuple(eqns), body.outputs, shape)


def _group(low: Lowering, body: Body, ins: list[Layout], outs: tuple[int, ...]) -> bool:
    """A group; operands that a result would be written over come as they are where they lie just as the result."""
    order = _order(low, ins, outs, body.shape)
    turned = body if order is None else _turned(body, order)
    if turned is None:
        order, turned = None, body

    def strides(x: Layout) -> tuple[int, ...]:
        along = x.broadcast(body.shape)
        return along if order is None else tuple([along[i] for i in order])

    try:
        Group(turned, tuple(map(strides, ins)))
    except Declined:
        return False
    results = [low.result(v, order if low.program.specs[v].shape == body.shape else None) for v in outs]
    same: dict[int, list[int]] = {}
    for k, x in enumerate(ins):
        over = [j for j, out in enumerate(results) if low.overlap(x, out)]
        if all(low.same(x, results[j]) and x.shape == body.shape for j in over):
            for j in over:
                same.setdefault(j, []).append(k)
        else:
            ins[k] = low.copied(x)
    group = Group(turned, tuple(map(strides, ins)), same)
    scratch = low.room((group.scratch,), np.dtype("uint8"))
    low.steps.group([x.ref for x in (*ins, *results, scratch)], group)
    return True


# -- contractions, reductions


def matmul(low: Lowering, eqn: Eqn) -> bool:
    """Products of matrices; any strides."""
    (v,), (a, b) = eqn.outs, [low.operand(x) for x in eqn.ins]
    if not has("contraction", "gemm", code(a.dtype)):
        return False
    c = low.result(v)
    m, n, k = c.shape[-2], c.shape[-1], a.shape[-1]
    if c.size == 0:
        return True
    if k == 0:
        low.steps.zero((c.ref,), c.nbytes)
        return True
    a, b = low.clear_of(a, (c,)), low.clear_of(b, (c,))
    work = low.room((gemm_bytes(code(c.dtype), c.size // n, n, k),), np.dtype("uint8"))
    lead = c.shape[:-2]
    strides = [c.strides[:-2], *[x.under(x.shape[:-2], x.strides[:-2]).broadcast(lead) for x in (a, b)]]
    s = (*a.strides[-2:], *b.strides[-2:], c.strides[-2])
    low.steps.gemm((c.ref, a.ref, b.ref, work.ref), code(c.dtype), (m, n, k), s, lead, strides)
    return True


def reduction(low: Lowering, eqn: Eqn) -> bool:
    """sum, prod, max, min."""
    (v,), x, axis = eqn.outs, low.operand(eqn.ins[0]), eqn.attr("axis")
    if x.size == 0 or not has_fold(eqn.op, code(x.dtype)):
        return False
    out = low.result(v)
    x = low.clear_of(x, (out,))
    gone = [i in axis for i in range(len(x.shape))]
    to = kept_strides(x.shape, gone, x.dtype.itemsize)
    low.steps.reduce((out.ref, x.ref), eqn.op, code(x.dtype), x.shape, x.strides, to, sum(1 << i for i in axis))
    return True


def along_lines(low: Lowering, eqn: Eqn) -> bool:
    """argmax, argmin, cumsum."""
    (v,), x, axis = eqn.outs, low.operand(eqn.ins[0]), eqn.attr("axis")
    if x.size == 0 or not has_fold(eqn.op, code(x.dtype)):
        return False
    out = low.result(v)
    x = low.clear_of(x, (out,))
    if eqn.op == "cumsum":
        to = out.strides
    else:
        to = kept_strides(x.shape, [i == axis for i in range(len(x.shape))], out.dtype.itemsize)
    shape, of_nest, to_nest = [tuple([t[i] for i in range(len(t)) if i != axis]) for t in (x.shape, x.strides, to)]
    step = (to[axis], x.strides[axis])
    low.steps.lines((out.ref, x.ref), eqn.op, code(x.dtype), shape, (to_nest, of_nest), step, x.shape[axis])
    return True


# -- movement that makes values


def copy(low: Lowering, eqn: Eqn) -> bool:
    """A copy."""
    x, out = low.operand(eqn.ins[0]), low.result(eqn.outs[0])
    low.copy(out, x if low.same(x, out) else low.clear_of(x, (out,)))
    return True


def pad(low: Lowering, eqn: Eqn) -> bool:
    """Zeros, and the operand between them."""
    x, out = low.operand(eqn.ins[0]), low.result(eqn.outs[0])
    x = low.clear_of(x, (out,))
    low.steps.zero((out.ref,), out.nbytes)
    step = [k + 1 for k in eqn.attr("interior")]
    low.copy(_region(out, eqn.attr("low"), x.shape, step), x)
    return True


def concat(low: Lowering, eqn: Eqn) -> bool:
    """One copy for each operand."""
    axis, out = eqn.attr("axis"), low.result(eqn.outs[0])
    ins = [low.clear_of(low.operand(x), (out,)) for x in eqn.ins]
    at = 0
    for x in ins:
        low.copy(out.under(x.shape, out.strides, at * out.strides[axis]), x)
        at += x.shape[axis]
    return True


def _region(x: Layout, start: Any, size: Any, step: Any) -> Layout:
    offset = 0 if 0 in size else sum(i * s for i, s in zip(start, x.strides, strict=True))
    return x.under(size, [k * s for k, s in zip(step, x.strides, strict=True)], offset)


def slice_update(low: Lowering, eqn: Eqn) -> bool:
    """A copy, unless the result lies where the operand does, then the region."""
    x, v = [low.operand(i) for i in eqn.ins]
    out = low.result(eqn.outs[0])
    x, v = x if low.same(x, out) else low.clear_of(x, (out,)), low.clear_of(v, (out,))
    low.copy(out, x)
    target = _region(out, eqn.attr("start"), eqn.attr("size"), eqn.attr("step"))
    low.copy(target, v.under(target.shape, v.broadcast(target.shape)))
    return True


# -- indexing


def _positions(low: Lowering, i: Layout, length: int) -> Layout:
    """The positions, checked and wrapped, before anything of the equation is written."""
    i = low.packed(i)
    out = low.room(i.shape, INT64)
    low.steps.wrap((out.ref, i.ref), i.size, length)
    return out


def gather(low: Lowering, eqn: Eqn) -> bool:
    """Rows at positions of an axis."""
    (x, i), axis = [low.operand(k) for k in eqn.ins], eqn.attr("axis")
    out = low.result(eqn.outs[0])
    index = _positions(low, i, x.shape[axis])
    if out.size:
        x = low.packed(x, (out,))
        sizes = math.prod(x.shape[:axis]), x.shape[axis], index.size, math.prod(x.shape[axis + 1 :])
        low.steps.index((out.ref, x.ref, index.ref), False, code(x.dtype), sizes)
    return True


def scatter_add(low: Lowering, eqn: Eqn) -> bool:
    """Rows added at positions of an axis."""
    (x, i, v), axis = [low.operand(k) for k in eqn.ins], eqn.attr("axis")
    if not has_row("add", (code(x.dtype),) * 2, code(x.dtype)):
        return False
    out = low.result(eqn.outs[0])
    index = _positions(low, i, x.shape[axis])
    shape = (*x.shape[:axis], *i.shape, *x.shape[axis + 1 :])
    rows = low.packed(v.under(shape, v.broadcast(shape)), (out,))
    low.copy(out, x if low.same(x, out) else low.clear_of(x, (out,)))
    if rows.size:
        sizes = math.prod(x.shape[:axis]), x.shape[axis], index.size, math.prod(x.shape[axis + 1 :])
        low.steps.index((out.ref, rows.ref, index.ref), True, code(x.dtype), sizes)
    return True


def take_along(low: Lowering, eqn: Eqn) -> bool:
    """One position for each element of the result."""
    (x, i), axis = [low.operand(k) for k in eqn.ins], eqn.attr("axis")
    out = low.result(eqn.outs[0])
    index = _positions(low, i, x.shape[axis])
    if out.size:
        x = low.clear_of(x, (out,))
        wide = (*out.shape[:axis], x.shape[axis], *out.shape[axis + 1 :])
        strides = out.strides, index.broadcast(out.shape), x.broadcast(wide)
        nest = [tuple([t[k] for k in range(len(t)) if k != axis]) for t in (out.shape, *strides)]
        step = [s[axis] for s in strides]
        refs = (out.ref, index.ref, x.ref)
        low.steps.along(refs, nest[0], nest[1:], step, out.shape[axis], out.dtype.itemsize)
    return True


# -- creation, random numbers, norms


def full(low: Lowering, eqn: Eqn) -> bool:
    """One number, seen from every place."""
    shape, dtype = eqn.attr("shape"), eqn.attr("dtype")
    one = low.constant(constant(eqn.attr("value"), dtype))
    low.layouts[eqn.outs[0]] = one.under(shape, (0,) * len(shape))
    return True


def iota(low: Lowering, eqn: Eqn) -> bool:
    """A constant."""
    low.layouts[eqn.outs[0]] = low.constant(constant(np.arange(eqn.attr("size")), eqn.attr("dtype")))
    return True


def random_bits(low: Lowering, eqn: Eqn) -> bool:
    """Words for each key."""
    key, out = low.operand(eqn.ins[0]), low.result(eqn.outs[0])
    if out.size:
        key = low.packed(key, (out,))
        each = math.prod(eqn.attr("shape"))
        low.steps.random((out.ref, key.ref), out.size // each, each)
    return True


def _last_axis_fits(x: Layout, *vectors: Layout) -> bool:
    return bool(x.shape) and x.shape[-1] > 0 and all(w.shape == x.shape[-1:] and w.dtype == x.dtype for w in vectors)


def layer_norm(low: Lowering, eqn: Eqn) -> bool:
    """Rows normalised."""
    x, w, b = ins = [low.operand(k) for k in eqn.ins]
    if not _last_axis_fits(x, w, b) or not has("norm", "layer_norm", code(x.dtype)):
        return False
    outs = [low.result(v) for v in eqn.outs]
    n = x.shape[-1]
    refs = [out.ref for out in outs] + [low.packed(y, outs).ref for y in ins]
    low.steps.layer_norm(refs, code(x.dtype), x.size // n, n, float(eqn.attr("eps")))
    return True


def layer_norm_bwd(low: Lowering, eqn: Eqn) -> bool:
    """The backward twin."""
    g, x, w, mean, rstd = ins = [low.operand(k) for k in eqn.ins]
    if not _last_axis_fits(x, w) or g.shape != x.shape or not has("norm", "layer_norm_bwd", code(x.dtype)):
        return False
    if any(y.dtype != x.dtype for y in ins) or any(y.size * x.shape[-1] != x.size for y in (mean, rstd)):
        return False
    outs = [low.result(v) for v in eqn.outs]
    n = x.shape[-1]
    block = low.room((2 * n,), x.dtype)
    refs = [y.ref for y in (*outs, *[low.packed(y, outs) for y in ins], block)]
    low.steps.layer_norm_bwd(refs, code(x.dtype), x.size // n, n)
    return True


def rules(names: frozenset[str]) -> dict[str, Rule]:
    """The rules; ``names`` are the elementwise ops."""
    table: dict[str, Rule] = dict.fromkeys(names, elementwise)
    table |= dict.fromkeys(("sum", "prod", "max", "min"), reduction)
    table |= dict.fromkeys(("argmax", "argmin", "cumsum"), along_lines)
    own = (fused, matmul, copy, pad, concat, slice_update, gather, scatter_add, take_along, full, iota, random_bits)
    table |= {rule.__name__: rule for rule in own}
    return table | {"norm.layer_norm": layer_norm, "norm.layer_norm_bwd": layer_norm_bwd}
