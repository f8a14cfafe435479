"""Control flow over flat lists of tensors, and the ops that it becomes in a graph: ``cond``, ``while``, ``scan``.

Where values can be looked at, Python decides and loops (``unrolled``). While staging, and for a choice that differs
between the examples of a batch, the functions are staged into graphs of their own, which are attributes of one op; what
they capture becomes operands. The rules of these ops build functions from the graphs and hand them to the same entries,
``choose``, ``iterate``, ``rewind`` and ``fold``, one level below, so that derivatives and batches are control flow
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .dtypes import KIND
from .errors import RecordingError, StateError
from .flat import Flat, duals, filled, floating, mapped, marked, pulled, spread
from .interpreters.stage import Graph, Stage
from .op import Cotangents, Flags, Op, pad_rank
from .ops.common import repeated, stop_gradient
from .ops.elementwise import where
from .ops.indexing import take
from .ops.movement import moveaxis
from .ops.reduction import argmax
from .state import state
from .tape import live
from .tensor import Attrs, Tensor, Tensors, tupled
from .unrolled import ROWS, folded, looped, varies

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


# -- the entries


def choose(pred: Tensor, fs: Sequence[Flat], xs: Sequence[Tensor]) -> Tensors:
    """The first function of ``xs`` if the predicate holds, else the second."""
    if state().stage is None and not varies(pred):
        return tuple(fs[0 if pred else 1](*xs))
    (true, false), written, captured = opened("cond", fs, [xs, xs])
    return _settle(written, COND(pred, *xs, *written, *captured, true=true, false=false))


def iterate(test: Flat, body: Flat, carry: Sequence[Tensor]) -> Tensors:
    """``body`` of ``body`` of ... ``carry``, as long as ``test`` holds."""
    if state().stage is None:
        return looped(test, body, tuple(carry))
    (cond, step), written, captured = opened("while_loop", (test, body), [carry, carry])
    k = len(carry) + len(written)
    if cond.outputs[1:] != cond.inputs[len(carry) : k]:
        raise StateError("while_loop: the condition writes to a tensor from outside; write in the body, or not at all")
    cond = cond.reopened(cond.inputs, cond.outputs[:1])
    return _settle(written, WHILE(*carry, *written, *captured, cond=cond, body=step, carries=k))


def rewind(test: Flat, body: Flat, back: Flat, carry: Sequence[Tensor], seed: Sequence[Tensor]) -> Tensors:
    """``seed = back(*carry, *seed)`` for the carries of all steps of a loop, beginning with the last step."""
    if state().stage is not None:
        (cond, step, last), _, captured = opened("while_loop", (test, body, back), [carry, carry, (*carry, *seed)])
        return tuple(REWIND(*carry, *seed, *captured, cond=cond, body=step, back=last, carries=len(carry)))
    steps = [tuple(carry)]
    while test(*steps[-1])[0]:
        steps.append(tuple(body(*steps[-1])))
    found = tuple(seed)
    for c in reversed(steps[:-1]):
        found = tuple(back(*c, *found))
    return found


def fold(f: Flat, carry: Sequence[Tensor], xs: Sequence[Tensor], n: int, reverse: bool) -> Tensors:
    """``f(*carry, *row) -> (*carry, *ys)`` over the rows of ``xs``: the last carry, and the ys stacked."""
    k, r = len(carry), len(xs)
    rows = [Tensor(None, x.be, x.dt, x.shape[1:], x.dev) for x in xs]
    if state().stage is None and n:
        return folded(f, tuple(carry), [ROWS(x, axis=0) for x in xs], range(n)[:: -1 if reverse else 1])
    (body,), written, captured = opened("scan", (f,), [(*carry, *rows)])
    if state().stage is None:
        return (*carry, *[y.like(0).zeros_like() for y in body.outputs[k : len(body.outputs) - len(written)]])
    w, ins, outs = len(written), body.inputs, body.outputs
    ins = (*ins[:k], *ins[k + r : k + r + w], *ins[k : k + r], *ins[k + r + w :])
    body = body.reopened(ins, (*outs[:k], *outs[len(outs) - w :], *outs[k : len(outs) - w]))
    plan = Plan(k + w, k + w + r, n, reverse)
    found = SCAN(*carry, *written, *xs, *captured, body=body, plan=plan)
    return _settle(written, (*found[:k], *found[k + w :], *found[k : k + w]))


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
        bound = state().stage is not None or varies(pred)
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
                ys, dys = duals(graph, args[:n], spread(n, moving, args[n:]))
                return (*ys, *dys)

            return f

        found = choose(pred, (both(true), both(false)), (*xs[1:], *[t for t in ts[1:] if t is not None]))
        ys = found[: len(true.outputs)]
        return ys, tuple(spread(len(ys), floating(ys), found[len(ys) :]))

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags, *, true: Graph, false: Graph) -> Cotangents:
        """The branch runs again, below its own pullback."""
        n, outs = len(xs) - 1, tupled(y)
        wanted = [i for i in floating(xs[1:]) if need[i + 1]]
        there = [i for i, c in enumerate(tupled(g)) if c is not None]

        def back(graph: Graph) -> Flat:
            def f(*args: Tensor) -> list[Any]:
                found = pulled(graph, args[:n], spread(len(outs), there, args[n:]))
                return [found[i] for i in wanted]

            return f

        found = choose(xs[0], (back(true), back(false)), (*xs[1:], *[c for c in tupled(g) if c is not None]))
        return [None, *spread(n, wanted, found)]

    def reached(self, flags: Sequence[bool], results: int, attrs: Attrs) -> Sequence[bool]:
        return [True] * results if flags[0] else _either(flags[1:], **attrs)

    def batch(self, size: int, xs: Tensors, batched: Flags, *, true: Graph, false: Graph) -> Any:
        pred, flags = xs[0], batched[1:]
        if not batched[0]:
            out = _either(flags, true, false)
            fs = [lambda *args, graph=graph: mapped(graph, size, args, flags, out) for graph in (true, false)]
            return marked(choose(pred, fs, xs[1:]), out)
        sides = [
            mapped(
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
        floats = floating(carry)

        def step(*c: Tensor) -> Tensors:
            ys, dys = duals(body, (*c[:k], *rest), (*spread(k, floats, c[k:]), *ts[k:]))
            return (*ys, *dys)

        found = iterate(lambda *c: cond(*c[:k], *rest), step, (*carry, *filled(ts, carry)))
        return found[:k], tuple(spread(k, floats, found[k:]))

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags, *, cond: Graph, body: Graph, carries: int) -> Cotangents:
        """The loop runs again, and back through its steps, with cotangents of what is the same for every step too."""
        k, carry, rest = carries, xs[:carries], xs[carries:]
        floats, fixed = floating(carry), [i for i in floating(xs) if i >= k and need[i]]

        def back(*args: Tensor) -> list[Any]:
            gs, sums = args[k : k + len(floats)], args[k + len(floats) :]
            found = pulled(body, (*args[:k], *rest), spread(k, floats, gs))
            return [*[found[i] for i in floats], *[a + found[i] for a, i in zip(sums, fixed, strict=True)]]

        seed = *filled(tupled(g), carry), *[xs[i].zeros_like() for i in fixed]
        found = rewind(lambda *c: cond(*c, *rest), lambda *c: body(*c, *rest), back, carry, seed)
        return spread(len(xs), (*floats, *fixed), found)

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
            return mapped(cond, size, (*c, *rest), (*flags, *fixed), [varies])

        def step(*c: Tensor) -> Tensors:
            return mapped(body, size, (*c, *rest), (*flags, *fixed), flags)

        def frozen(p: Tensor, *c: Tensor) -> Tensors:
            """A step of the examples that are not done."""
            new = [where(pad_rank(p, x.ndim - 1), n, x) for n, x in zip(step(*c), c, strict=True)]
            return (*test(*new), *new)

        if varies:
            return iterate(lambda p, *c: (p.any(),), frozen, (*test(*carry), *carry))[1:]
        return marked(iterate(test, step, carry), flags)


class _Rewind(_Control):
    """``back`` of each step of a loop, beginning with the last: operands are the carry, a seed, and what is the same
    for every step. All steps are kept.
    """

    def __call__(self, *xs: Any, **attrs: Any) -> Any:
        bound = state().stage is not None or any(map(varies, xs))
        return Op.bind(self, xs, attrs) if bound else self.decompose(*xs, **attrs)

    def spec(self, *xs: Any, cond: Graph, body: Graph, back: Graph, carries: int) -> Any:
        return tuple([v.like() for v in back.outputs])

    def decompose(self, *xs: Tensor, cond: Graph, body: Graph, back: Graph, carries: int) -> Tensors:
        n = carries + len(back.outputs)
        test, step, last = [lambda *c, f=f: f(*c, *xs[n:]) for f in (cond, body, back)]
        return rewind(test, step, last, xs[:carries], xs[carries:n])

    def dual(self, ts: Cotangents, xs: Tensors, *, cond: Graph, body: Graph, back: Graph, carries: int) -> Any:
        k, n, rest = carries, carries + len(back.outputs), xs[carries + len(back.outputs) :]
        floats = floating(xs[:k])
        m, w = k + len(floats), n - k

        def step(*c: Tensor) -> Tensors:
            ys, dys = duals(body, (*c[:k], *rest), (*spread(k, floats, c[k:]), *ts[n:]))
            return (*ys, *dys)

        def last(*c: Tensor) -> Tensors:
            dots = *spread(k, floats, c[k:m]), *c[m + w :], *ts[n:]
            ys, dys = duals(back, (*c[:k], *c[m : m + w], *rest), dots)
            return (*ys, *dys)

        carry, seed = (*xs[:k], *filled(ts, xs[:k])), (*xs[k:n], *filled(ts[k:n], xs[k:n]))
        found = rewind(lambda *c: cond(*c[:k], *rest), step, last, carry, seed)
        return found[:w], found[w:]

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags, **attrs: Any) -> Cotangents:
        remedy = "give max_steps=, use scan, or differentiate one of the two times forward (jvp, hessian)"
        raise RecordingError(f"while_loop: in a graph the gradient of a loop of unknown length has none; {remedy}")

    def reached(self, flags: Sequence[bool], results: int, attrs: Attrs) -> list[bool]:
        return [any(flags)] * results

    def batch(
        self, size: int, xs: Tensors, batched: Flags, *, cond: Graph, body: Graph, back: Graph, carries: int
    ) -> Any:
        """An example that is done keeps its carry, and what comes back passes by."""
        k, n = carries, carries + len(back.outputs)
        known, rest, fixed = [repeated(size, x, b) for x, b in zip(xs[:n], batched)], xs[n:], batched[n:]

        def of(graph: Graph, *args: Tensor) -> Tensors:
            return mapped(graph, size, (*args, *rest), (*[True] * len(args), *fixed), [True] * len(graph.outputs))

        def kept(p: Tensor, new: Tensors, old: Sequence[Tensor]) -> list[Tensor]:
            return [where(pad_rank(p, x.ndim - 1), y, x) for y, x in zip(new, old, strict=True)]

        def step(p: Tensor, *c: Tensor) -> Tensors:
            new = kept(p, of(body, *c), c)
            return (*of(cond, *new), *new)

        def last(p: Tensor, *c: Tensor) -> list[Tensor]:
            return kept(p, of(back, *c), c[k:])

        return rewind(lambda p, *c: (p.any(),), step, last, (*of(cond, *known[:k]), *known[:k]), known[k:])


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
        floats, moving = floating(xs[:k]), [i for i, t in enumerate(ts[k:end]) if t is not None]
        m = k + len(floats)

        def step(*args: Tensor) -> Tensors:
            tangents = *spread(k, floats, args[k:m]), *spread(end - k, moving, args[m + end - k :]), *ts[end:]
            ys, dys = duals(body, (*args[:k], *args[m : m + end - k], *rest), tangents)
            return (*ys[:k], *dys[: len(floats)], *ys[k:], *dys[len(floats) :])

        inputs = *xs[k:end], *[t for t in ts[k:end] if t is not None]
        found = fold(step, (*xs[:k], *filled(ts, xs[:k])), inputs, plan.length, plan.reverse)
        n = m + len(body.outputs) - k
        ys = *found[:k], *found[m:n]
        return ys, tuple(spread(len(ys), floating(ys), (*found[k:m], *found[n:])))

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags, *, body: Graph, plan: Plan) -> Cotangents:
        """A scan the other way, which carries the cotangents of the carries and of what is the same for every step."""
        k, end, rest = plan.carries, plan.end, xs[plan.end :]
        gs, ys = tupled(g), tupled(y)
        floats, fixed = floating(xs[:k]), [i for i in floating(xs) if i >= end and need[i]]
        moving = [i for i in floating(xs[:end]) if i >= k and need[i]]
        there = [i for i, c in enumerate(gs) if i >= k and c is not None]
        m = len(floats) + len(fixed)

        def step(*args: Tensor) -> list[Any]:
            carried, row = args[m : m + k], args[m + k : m + end]
            given = spread(len(gs), (*floats, *there), (*args[: len(floats)], *args[m + end :]))
            found = pulled(body, (*carried, *row, *rest), given)
            sums = [a + found[i] for a, i in zip(args[len(floats) : m], fixed, strict=True)]
            return [*[found[i] for i in floats], *sums, *[found[i] for i in moving]]

        start = *filled(gs, xs[:k]), *[xs[i].zeros_like() for i in fixed]
        inputs = *ys[len(ys) - k :], *xs[k:end], *[gs[i] for i in there]
        found = fold(step, start, inputs, plan.length, not plan.reverse)
        return spread(len(xs), (*floats, *fixed, *moving), found)

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
            lambda *args: mapped(body, size, (*args, *xs[end:]), inside, out), carry, moved, plan.length, plan.reverse
        )
        first = [moveaxis(y, 0, 1) if f and i >= k else y for i, (y, f) in enumerate(zip(found, out, strict=True))]
        return marked(first, out)


COND = _Cond("cond")
WHILE = _While("while")
SCAN = _Scan("scan")
REWIND = _Rewind("while.rewind")
