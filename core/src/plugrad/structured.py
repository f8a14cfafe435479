"""Control flow over flat lists of tensors, and the ops that it becomes in a graph: ``cond``, ``while``, ``scan``.

Where values can be looked at, Python decides and loops, and what runs is recorded, mapped and differentiated as any
other code. While staging, and for a choice that differs between the examples of a batch, the functions are staged into
graphs of their own, which are attributes of one op; what they capture becomes operands. The rules of these ops build
functions from the graphs and hand them to the same three entries, ``choose``, ``iterate`` and ``fold``, one level
below, so that derivatives and batches of any order are control flow again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .backend import Spec
from .dtypes import KIND
from .errors import RecordingError, StateError
from .interpreters.levels import JVP, Batch, Same
from .interpreters.stage import Graph, Stage
from .op import Cotangents, Flags, Op, pad_rank
from .ops.common import AxisOp, repeated, stop_gradient
from .ops.elementwise import where
from .ops.indexing import take
from .ops.movement import moveaxis, stack
from .ops.reduction import argmax
from .state import state
from .tape import live
from .tensor import Attrs, Tensor, Tensors, tupled
from .transforms import vjp

Flat = Callable[..., Sequence[Tensor]]
"""Tensors to several tensors."""

# -- functions as graphs


def opened(name: str, fs: Sequence[Flat], given: Sequence[Sequence[Tensor]]) -> tuple[list[Graph], Any, Any]:
    """The functions staged, each for operands like those given; the handles from outside that they write; the values
    that they capture.

    Each graph takes its operands, the written handles and the captured values, and gives its results and what the
    written handles hold then.
    """
    here = state()
    staged = []
    for f, xs in zip(fs, given, strict=True):
        with Stage() as level:
            inputs = [level.new(x, x.be, x.dev) for x in xs]
            places = [x.val for x in inputs]
            staged.append((level, Graph(level, places, f(*inputs))))
        if here.stage is not None:
            here.stage.modules += level.modules
            here.stage.drawn = here.stage.drawn or level.drawn
    written = {id(h): h for _, graph in staged for h, _ in graph.state}
    captured = {id(h): h for _, graph in staged for h, _ in graph.constants if id(h) not in written}
    graphs = []
    for level, graph in staged:
        known, new = {id(h): v for h, v in graph.constants}, {id(h): v for h, v in graph.state}
        rest = [known.get(id(h)) or level.new(h, h.be, h.dev).val for h in (*written.values(), *captured.values())]
        ends = [new.get(h, v) for h, v in zip(written, rest)]
        for handle, v in zip(written.values(), ends, strict=True):
            if (handle.shape, handle.dtype) != v.spec:
                got = f"a {handle.describe()} from outside is written as {v.spec.dtype} {v.spec.shape}"
                raise StateError(f"{name}: {got}; keep its shape and dtype, or return the value")
        graphs.append(graph.reopened((*graph.inputs, *rest), (*graph.outputs, *ends)))
    return graphs, list(written.values()), list(captured.values())


def _settle(written: Sequence[Tensor], found: Tensors) -> Tensors:
    """Write the last of what an op gave to the handles from outside; the results are what is before."""
    first = len(found) - len(written)
    for handle, value in zip(written, found[first:], strict=True):
        (handle.assign if handle.is_leaf else handle.rebind)(value)
    return found[:first]


def _varies(p: Tensor) -> bool:
    """Whether a predicate differs between the examples of a batch."""
    while p.tr is not None:
        if p.tr.batched:
            return True
        p = p.val
    return False


def _anywhere(p: Tensor) -> bool:
    """Whether a predicate holds for any example of any batch."""
    while p.tr is not None:
        p = p.val
    return bool(p.numpy().any())


# -- the entries


def choose(pred: Tensor, fs: Sequence[Flat], xs: Sequence[Tensor]) -> Tensors:
    """The first function of ``xs`` if the predicate holds, else the second."""
    if state().stage is None and not _varies(pred):
        return tuple(fs[0 if pred else 1](*xs))
    (true, false), written, captured = opened("cond", fs, [xs, xs])
    return _settle(written, COND(pred, *xs, *written, *captured, true=true, false=false))


def iterate(test: Flat, body: Flat, carry: Sequence[Tensor]) -> Tensors:
    """``body`` of ``body`` of ... ``carry``, as long as ``test`` holds."""
    if state().stage is None:
        return _python_loop(test, body, tuple(carry))
    (cond, step), written, captured = opened("while_loop", (test, body), [carry, carry])
    k = len(carry) + len(written)
    if cond.outputs[1:] != cond.inputs[len(carry) : k]:
        raise StateError("while_loop: the condition writes to a tensor from outside; write in the body, or not at all")
    cond = cond.reopened(cond.inputs, cond.outputs[:1])
    return _settle(written, WHILE(*carry, *written, *captured, cond=cond, body=step, carries=k))


def _python_loop(test: Flat, body: Flat, carry: Tensors) -> Tensors:
    """An example that is done keeps its carry. The body goes on with its last carry before that, for which it is
    defined, or with that of another example: a NaN there would spoil the gradients of the others.
    """
    inside: Tensors | None = None
    while True:
        (p,) = test(*carry)
        if not _varies(p):
            if not p:
                return carry
            carry = tuple(body(*carry))
        elif _anywhere(p):
            last = inside or [ACTIVE(p, stop_gradient(c)) for c in carry]
            inside = tuple([where(p, c, stop_gradient(s)) for c, s in zip(carry, last, strict=True)])
            carry = tuple([where(p, n, c) for n, c in zip(body(*inside), carry, strict=True)])
        else:
            return carry


def fold(f: Flat, carry: Sequence[Tensor], xs: Sequence[Tensor], n: int, reverse: bool) -> Tensors:
    """``f(*carry, *row) -> (*carry, *ys)`` over the rows of ``xs``: the last carry, and the ys stacked."""
    k, r = len(carry), len(xs)
    rows = [Tensor(None, x.be, x.dt, x.shape[1:], x.dev) for x in xs]
    if state().stage is None and n:
        return _python_fold(f, tuple(carry), [ROWS(x, axis=0) for x in xs], range(n)[:: -1 if reverse else 1])
    (body,), written, captured = opened("scan", (f,), [(*carry, *rows)])
    if state().stage is None:
        return (*carry, *[y.like(0).zeros_like() for y in body.outputs[k : len(body.outputs) - len(written)]])
    w, ins, outs = len(written), body.inputs, body.outputs
    ins = (*ins[:k], *ins[k + r : k + r + w], *ins[k : k + r], *ins[k + r + w :])
    body = body.reopened(ins, (*outs[:k], *outs[len(outs) - w :], *outs[k : len(outs) - w]))
    plan = Plan(k + w, k + w + r, n, reverse)
    found = SCAN(*carry, *written, *xs, *captured, body=body, plan=plan)
    return _settle(written, (*found[:k], *found[k + w :], *found[k : k + w]))


def _python_fold(f: Flat, carry: Tensors, rows: Sequence[Tensors], order: range) -> Tensors:
    steps: list[Tensors] = []
    for i in order:
        found = tuple(f(*carry, *[row[i] for row in rows]))
        carry, y = found[: len(carry)], found[len(carry) :]
        steps.append(y)
    if order.step < 0:
        steps.reverse()
    return (*carry, *[stack(column) for column in zip(*steps, strict=True)])


class _Active(Op):
    """``x`` if the predicate holds, else that of an example of the batch for which it does, if there is one."""

    def spec(self, p: Any, x: Any) -> Any:
        return Spec(x.shape, x.dtype)

    def decompose(self, p: Tensor, x: Tensor) -> Tensor:
        return x

    def batch(self, size: int, xs: Tensors, batched: Flags) -> Any:
        (p, x), out = xs, batched[1]
        if batched[0] and size:
            x, out = repeated(size, x, out), True
            other = take(x, argmax(p.astype("int32"), axis=0), axis=0)
            x, p = where(pad_rank(p, x.ndim - 1), x, other), p.any(axis=0)
        found = self(p, x)
        return found if out else Same(found)


ACTIVE = _Active("while.active")


class _Rows(AxisOp):
    """The slices of ``x`` along an axis, all at once, so that the backward of a loop over them stays linear."""

    def spec(self, x: Any, *, axis: int) -> Any:
        row = Tensor(None, x.be, x.dt, (*x.shape[:axis], *x.shape[axis + 1 :]), x.dev)
        return (row,) * x.shape[axis]

    def decompose(self, x: Tensor, *, axis: int) -> Tensors:
        return tuple([x[(*(slice(None),) * axis, i)] for i in range(x.shape[axis])])

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags, *, axis: int) -> Cotangents:
        zero = next(c for c in tupled(g) if c is not None).zeros_like()
        return (stack([zero if c is None else c for c in tupled(g)], axis=axis),)


ROWS = _Rows("scan.rows", linear=(0,))

# -- what the rules share


def _floats(ts: Sequence[Tensor]) -> list[int]:
    return [i for i, t in enumerate(ts) if KIND[t.dt] in "fc"]


def _spread(n: int, places: Sequence[int], values: Sequence[Tensor]) -> list[Tensor | None]:
    """``n`` values: those given at their places, None elsewhere."""
    found = dict(zip(places, values, strict=True))
    return [found.get(i) for i in range(n)]


def _filled(ts: Cotangents, xs: Sequence[Tensor]) -> list[Tensor]:
    """Tangents of the floating ``xs``, zeros for None."""
    return [x.zeros_like() if (t := ts[i]) is None else t for i, x in enumerate(xs) if KIND[x.dt] in "fc"]


def _duals(f: Flat, xs: Sequence[Tensor], ts: Cotangents) -> tuple[Tensors, list[Tensor]]:
    """The results of ``f``, and the tangents of the floating ones."""
    with JVP() as level:
        found = f(*[level.wrap(x, t) for x, t in zip(xs, ts, strict=True)])
        ys = tuple([y.val if y.tr is level else y for y in found])
        return ys, _filled([y.aux if y.tr is level else None for y in found], ys)


def _pulled(f: Flat, xs: Sequence[Tensor], gs: Cotangents) -> tuple[Tensor | None, ...]:
    """The cotangents of ``xs`` for those of the results of ``f``; None for what is not floating."""
    found: tuple[Tensor | None, ...] = vjp(lambda *args: tuple(f(*args)), *xs)[1](tuple(gs))
    return found


def _mapped(f: Flat, size: int, xs: Sequence[Tensor], flags: Sequence[bool], out: Sequence[bool]) -> Tensors:
    """``f`` over a batch: operands with a flag have the batch dimension first, and so have results with one."""
    with Batch(size, "ok") as level:
        ys = f(*[level.wrap(x) if b else x for x, b in zip(xs, flags, strict=True)])
        found = [(y.val, True) if y.tr is level else (y, False) for y in ys]
    return tuple([repeated(size, y, b) if w else y for (y, b), w in zip(found, out, strict=True)])


def _marked(ys: Sequence[Tensor], flags: Sequence[bool]) -> tuple[Tensor | Same, ...]:
    """The results of a batching rule, of which those with a flag have the batch dimension."""
    return tuple([y if f else Same(y) for y, f in zip(ys, flags, strict=True)])


# -- the ops


class _Control(Op):
    """An op whose graphs are attributes. Outside a graph Python runs it, by its decomposition."""

    opaque = True
    save_output = False

    def __call__(self, *xs: Any, **attrs: Any) -> Any:
        return Op.bind(self, xs, attrs) if state().stage is not None else self.decompose(*xs, **attrs)


class _Cond(_Control):
    """The graph ``true`` or ``false`` of the operands behind the predicate."""

    def __call__(self, pred: Any, *xs: Any, **attrs: Any) -> Any:
        bound = state().stage is not None or _varies(pred)
        return Op.bind(self, (pred, *xs), attrs) if bound else self.decompose(pred, *xs, **attrs)

    def spec(self, *xs: Any, true: Graph, false: Graph) -> Any:
        return tuple([v.like() for v in true.outputs])

    def decompose(self, pred: Tensor, *xs: Tensor, true: Graph, false: Graph) -> Tensors:
        return choose(pred, (true, false), xs)

    def dual(self, ts: Cotangents, xs: Tensors, *, true: Graph, false: Graph) -> Any:
        pred, n = xs[0], len(xs) - 1
        moving = [i for i, t in enumerate(ts[1:]) if t is not None]

        def both(graph: Graph) -> Flat:
            def f(*args: Tensor) -> Tensors:
                ys, dys = _duals(graph, args[:n], _spread(n, moving, args[n:]))
                return (*ys, *dys)

            return f

        found = choose(pred, (both(true), both(false)), (*xs[1:], *[t for t in ts[1:] if t is not None]))
        ys = found[: len(true.outputs)]
        return ys, tuple(_spread(len(ys), _floats(ys), found[len(ys) :]))

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags, *, true: Graph, false: Graph) -> Cotangents:
        """The branch runs again, below its own pullback."""
        n, outs = len(xs) - 1, tupled(y)
        wanted = [i for i in _floats(xs[1:]) if need[i + 1]]
        there = [i for i, c in enumerate(tupled(g)) if c is not None]

        def back(graph: Graph) -> Flat:
            def f(*args: Tensor) -> list[Any]:
                found = _pulled(graph, args[:n], _spread(len(outs), there, args[n:]))
                return [found[i] for i in wanted]

            return f

        found = choose(xs[0], (back(true), back(false)), (*xs[1:], *[c for c in tupled(g) if c is not None]))
        return [None, *_spread(n, wanted, found)]

    def reached(self, flags: Sequence[bool], results: int, attrs: Attrs) -> Sequence[bool]:
        return [True] * results if flags[0] else _either(flags[1:], **attrs)

    def batch(self, size: int, xs: Tensors, batched: Flags, *, true: Graph, false: Graph) -> Any:
        pred, flags = xs[0], batched[1:]
        if not batched[0]:
            out = _either(flags, true, false)
            fs = [lambda *args, graph=graph: _mapped(graph, size, args, flags, out) for graph in (true, false)]
            return _marked(choose(pred, fs, xs[1:]), out)
        sides = [
            _mapped(
                graph,
                size,
                [_safe(x, b, p) for x, b in zip(xs[1:], flags, strict=True)],
                flags,
                [True] * len(graph.outputs),
            )
            for graph, p in ((true, pred), (false, ~pred))
        ]
        return tuple([where(pad_rank(pred, a.ndim - 1), a, b) for a, b in zip(*sides, strict=True)])


def _either(flags: Sequence[bool], true: Graph, false: Graph) -> list[bool]:
    """Which results of a choice depend on flagged operands in one of the branches."""
    return [a or b for a, b in zip(true.reached(flags), false.reached(flags), strict=True)]


def _safe(x: Tensor, batched: bool, taken: Tensor) -> Tensor:
    """An operand of a branch that not every example takes: the others get the value of one that does. So neither its
    results nor its derivatives are NaN for their sake, and no derivative reaches the values they have.
    """
    if batched and taken.size:
        other = take(x, argmax(taken.astype("int32"), axis=0), axis=0)
        return where(pad_rank(taken, x.ndim - 1), x, stop_gradient(other))
    return where(taken.any(), x, stop_gradient(x)) if KIND[x.dt] in "fc" else x


class _While(_Control):
    """``body`` as long as ``cond``, on the first ``carries`` operands; the others are the same for every step."""

    def spec(self, *xs: Any, cond: Graph, body: Graph, carries: int) -> Any:
        return tuple([v.like() for v in body.outputs])

    def decompose(self, *xs: Tensor, cond: Graph, body: Graph, carries: int) -> Tensors:
        rest = xs[carries:]
        return iterate(lambda *c: cond(*c, *rest), lambda *c: body(*c, *rest), xs[:carries])

    def dual(self, ts: Cotangents, xs: Tensors, *, cond: Graph, body: Graph, carries: int) -> Any:
        k, carry, rest = carries, xs[:carries], xs[carries:]
        floats = _floats(carry)

        def step(*c: Tensor) -> Tensors:
            ys, dys = _duals(body, (*c[:k], *rest), (*_spread(k, floats, c[k:]), *ts[k:]))
            return (*ys, *dys)

        found = iterate(lambda *c: cond(*c[:k], *rest), step, (*carry, *_filled(ts, carry)))
        return found[:k], tuple(_spread(k, floats, found[k:]))

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags, **attrs: Any) -> Cotangents:
        remedy = "give max_steps=, use scan, or differentiate forward (jvp, jacfwd)"
        raise RecordingError(f"while_loop: a loop of unknown length in a graph has no reverse derivative; {remedy}")

    def reached(self, flags: Sequence[bool], results: int, attrs: Attrs) -> list[bool]:
        """All of them if the predicate does."""
        k = attrs["carries"]
        found = _spreading(attrs["body"], flags, k)
        return [True] * k if attrs["cond"].reached((*found, *flags[k:]))[0] else found

    def batch(self, size: int, xs: Tensors, batched: Flags, *, cond: Graph, body: Graph, carries: int) -> Any:
        k, rest, fixed = carries, xs[carries:], batched[carries:]
        flags = self.reached(batched, k, {"cond": cond, "body": body, "carries": k})
        varies = cond.reached((*flags, *fixed))[0]
        carry = [repeated(size, x, b) if f else x for x, b, f in zip(xs, batched, flags)]

        def test(*c: Tensor) -> Tensors:
            return _mapped(cond, size, (*c, *rest), (*flags, *fixed), [varies])

        def step(*c: Tensor) -> Tensors:
            return _mapped(body, size, (*c, *rest), (*flags, *fixed), flags)

        def frozen(p: Tensor, *c: Tensor) -> Tensors:
            """A step of the examples that are not done."""
            new = [where(pad_rank(p, x.ndim - 1), n, x) for n, x in zip(step(*c), c, strict=True)]
            return (*test(*new), *new)

        if varies:
            return iterate(lambda p, *c: (p.any(),), frozen, (*test(*carry), *carry))[1:]
        return _marked(iterate(test, step, carry), flags)


def _spreading(body: Graph, batched: Sequence[bool], k: int) -> list[bool]:
    """Which carries are batched once the body has run any number of times."""
    flags = list(batched[:k])
    while True:
        found = [a or b for a, b in zip(flags, body.reached((*flags, *batched[k:])))]
        if found == flags:
            return flags
        flags = found


class Plan(NamedTuple):
    """How a scan runs: the first ``carries`` operands are carried, of those up to ``end`` each step takes a row, the
    others are the same for all. ``kept``: its last results are the carries of every step.
    """

    carries: int
    end: int
    length: int
    reverse: bool
    kept: bool = False


class _Scan(_Control):
    """``body`` over the rows of operands. It gives the last carries, then the stacked results.

    Recorded, its last results are the carries of every step: the backward runs each step again from there.
    """

    save_output = True

    def __call__(self, *xs: Any, body: Graph, plan: Plan) -> Any:
        here = state()
        if here.stage is None or plan.kept or not any(x.mask and live(x, here) for x in xs):
            return super().__call__(*xs, body=body, plan=plan)
        wider = body.reopened(body.inputs, (*body.outputs, *body.inputs[: plan.carries]))
        return super().__call__(*xs, body=wider, plan=plan._replace(kept=True))[: len(body.outputs)]

    def spec(self, *xs: Any, body: Graph, plan: Plan) -> Any:
        return tuple([v.like(*(plan.length,) * (i >= plan.carries)) for i, v in enumerate(body.outputs)])

    def decompose(self, *xs: Tensor, body: Graph, plan: Plan) -> Tensors:
        k, end = plan.carries, plan.end
        return fold(lambda *args: body(*args, *xs[end:]), xs[:k], xs[k:end], plan.length, plan.reverse)

    def dual(self, ts: Cotangents, xs: Tensors, *, body: Graph, plan: Plan) -> Any:
        k, end, rest = plan.carries, plan.end, xs[plan.end :]
        floats, moving = _floats(xs[:k]), [i for i, t in enumerate(ts[k:end]) if t is not None]
        m = k + len(floats)

        def step(*args: Tensor) -> Tensors:
            tangents = *_spread(k, floats, args[k:m]), *_spread(end - k, moving, args[m + end - k :]), *ts[end:]
            ys, dys = _duals(body, (*args[:k], *args[m : m + end - k], *rest), tangents)
            return (*ys[:k], *dys[: len(floats)], *ys[k:], *dys[len(floats) :])

        inputs = *xs[k:end], *[t for t in ts[k:end] if t is not None]
        found = fold(step, (*xs[:k], *_filled(ts, xs[:k])), inputs, plan.length, plan.reverse)
        n = m + len(body.outputs) - k
        ys = *found[:k], *found[m:n]
        return ys, tuple(_spread(len(ys), _floats(ys), (*found[k:m], *found[n:])))

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags, *, body: Graph, plan: Plan) -> Cotangents:
        """A scan the other way, which carries the cotangents of the carries and of what is the same for every step."""
        k, end, rest = plan.carries, plan.end, xs[plan.end :]
        gs, ys = tupled(g), tupled(y)
        floats, fixed = _floats(xs[:k]), [i for i in _floats(xs) if i >= end and need[i]]
        moving = [i for i in _floats(xs[:end]) if i >= k and need[i]]
        there = [i for i, c in enumerate(gs) if i >= k and c is not None]
        m = len(floats) + len(fixed)

        def step(*args: Tensor) -> list[Any]:
            carried, row = args[m : m + k], args[m + k : m + end]
            given = _spread(len(gs), (*floats, *there), (*args[: len(floats)], *args[m + end :]))
            found = _pulled(body, (*carried, *row, *rest), given)
            sums = [a + found[i] for a, i in zip(args[len(floats) : m], fixed, strict=True)]
            return [*[found[i] for i in floats], *sums, *[found[i] for i in moving]]

        start = *_filled(gs, xs[:k]), *[xs[i].zeros_like() for i in fixed]
        inputs = *ys[len(ys) - k :], *xs[k:end], *[gs[i] for i in there]
        found = fold(step, start, inputs, plan.length, not plan.reverse)
        return _spread(len(xs), (*floats, *fixed, *moving), found)

    def reached(self, flags: Sequence[bool], results: int, attrs: Attrs) -> list[bool]:
        body, k = attrs["body"], attrs["plan"].carries
        found = _spreading(body, flags, k)
        return [*found, *body.reached((*found, *flags[k:]))[k:]]

    def batch(self, size: int, xs: Tensors, batched: Flags, *, body: Graph, plan: Plan) -> Any:
        k, end = plan.carries, plan.end
        out = self.reached(batched, len(body.outputs), {"body": body, "plan": plan})
        inside = (*out[:k], *batched[k:])
        carry = [repeated(size, x, b) if f else x for x, b, f in zip(xs, batched, out[:k])]
        moved = [moveaxis(x, 1, 0) if b else x for x, b in zip(xs[k:end], batched[k:end], strict=True)]
        found = fold(
            lambda *args: _mapped(body, size, (*args, *xs[end:]), inside, out), carry, moved, plan.length, plan.reverse
        )
        first = [moveaxis(y, 0, 1) if f and i >= k else y for i, (y, f) in enumerate(zip(found, out, strict=True))]
        return _marked(first, out)


COND = _Cond("cond")
WHILE = _While("while")
SCAN = _Scan("scan")
