"""A compiled function that is recorded: one node on the tape, whose forward and backward are compiled both.

The function and its pullback are staged together, and split: what the results need runs forward, the rest backward, and
what the one computes and the other reads is kept between them. Gradients of gradients, where the backward itself is
recorded, run the equations one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dtypes import KIND
from ..interpreters.stage import Equation, Graph, Stage, Var
from ..op import Flags, Op
from ..state import Scope, state, within
from ..tape import backprop, leaf, live, plain
from ..tensor import Tensor, Tensors, tupled
from .executable import Executable
from .passes import Pass
from .rewrite import needed
from .target import Target


class Recorded(Op):
    """A staged graph as an op of all that it reads: its arguments, captured tensors and gradients. It gives the graph's
    results, what is written, and residuals for the backward. Not in the registry: it belongs to one graph.
    """

    opaque = True
    has_vjp = differentiable = save_output = True
    codes = frozenset(range(64))

    def __init__(self, name: str, graph: Graph, flags: Sequence[bool], passes: Sequence[Pass]) -> None:
        self.name, self.partials = f"compile({name})", None
        self.flags, self.passes = tuple(flags), passes
        ends = (*graph.outputs, *[v for _, v in graph.state], *[v for _, v in graph.gradients])
        self.graph = graph.reopened(reads(graph), ends)
        self.results, self.followed = len(ends), len(graph.outputs)
        forward, backward, self.wanted, self.given = _split(self.graph, self.flags, self.followed)
        self.forward = Executable(forward, passes, name=f"{name} forward")
        self.backward = Executable(backward, passes, name=f"{name} backward")
        self.kinds = [Target(v.be, v.dev) for v in forward.outputs]
        self.specs = [v.spec for v in forward.outputs]

    def __reduce__(self) -> Any:
        raise TypeError(f"{self.name}: the record of a compiled function cannot be pickled")

    def spec(self, *xs: Any, **attrs: Any) -> Any:
        """Not needed: it is never staged."""
        return

    def decompose(self, *xs: Tensor) -> Tensors:
        """The compiled forward."""
        found = self.forward.run([x.val for x in xs])
        return tuple([t.handle(v, s) for t, v, s in zip(self.kinds, found, self.specs, strict=True)])

    def residuals_of(self, y: Any) -> tuple[int, ...]:
        return tuple(range(self.results, len(tupled(y))))

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags) -> Any:
        """The compiled backward, or where that is recorded the graph's own."""
        gs, ys, here = tupled(g)[: self.followed], tupled(y), state()
        if any(t is not None and t.mask and live(t, here) for t in (*gs, *ys, *xs)):
            return self.by_graph(gs, xs, need)
        values = [t.val for t in (*ys[self.results :], *xs)]
        values += [(self.zero(ys[i]) if gs[i] is None else gs[i]).val for i in self.given]
        cotangents: list[Tensor | None] = [None] * len(xs)
        found = self.backward.run(values)
        for i, value, v in zip(self.wanted, found, self.backward.lowered.outputs, strict=True):
            cotangents[i] = Target(v.be, v.dev).handle(value, v.spec) if need[i] else None
        return cotangents

    def by_graph(self, gs: Sequence[Tensor | None], xs: Tensors, need: Flags) -> Any:
        """Cotangents through the ops of the graph, so that they are recorded."""
        with Scope() as scope:
            inputs = [leaf(x, scope) if n else x for x, n in zip(xs, need, strict=True)]
            nodes = [t.node if n else None for t, n in zip(inputs, need, strict=True)]
            ys = self.graph(*inputs)
        seeds = [(y, g) for y, g in zip(ys, gs, strict=False) if g is not None]
        return backprop(seeds, nodes, scope.bit, scope.start)

    def zero(self, y: Tensor) -> Tensor:
        with within(mask=0):
            return y.zeros_like()


def reads(graph: Graph) -> tuple[Var, ...]:
    """The variables that a graph does not compute: arguments, captured values, gradients."""
    return (*graph.inputs, *[v for _, v in graph.constants], *[v for _, v in graph.met if v is not None])


def _split(graph: Graph, flags: Sequence[bool], followed: int) -> tuple[Graph, Graph, list[int], list[int]]:
    """The forward graph, whose last outputs are residuals; the backward, of the residuals, the inputs and the
    cotangents of the results in ``given``; the inputs whose cotangents it gives; and ``given``.
    """
    with within(mask=0, stage=None, capture=None, top=None, log=None), Stage() as level:
        xs = [level.new(v.spec, v.be, v.dev) for v in graph.inputs]
        places = [x.val for x in xs]
        with Scope() as scope:
            inputs = [leaf(x, scope) if f else x for x, f in zip(xs, flags, strict=True)]
            nodes = [t.node if f else None for t, f in zip(inputs, flags, strict=True)]
            ys = graph(*inputs)
        given = [i for i, y in enumerate(ys[:followed]) if KIND[y.dt] in "fc" and y.mask & scope.bit]
        gs = [level.new(ys[i], ys[i].be, ys[i].dev) for i in given]
        found = backprop([(plain(ys[i]), g) for i, g in zip(given, gs, strict=True)], nodes, scope.bit, scope.start)
        wanted = [i for i, c in enumerate(found) if c is not None]
        whole = Graph(level, [*places, *[g.val for g in gs]], [*ys, *[found[i] for i in wanted]])
    results, cotangents = whole.outputs[: len(ys)], whole.outputs[len(ys) :]
    first = needed(whole.equations, results, "outputs", "inputs")
    there = set(map(id, first))
    rest = [e for e in whole.equations if id(e) not in there]
    made = {v for e in first for v in e.outputs}
    read = dict.fromkeys([v for e in rest for v in e.inputs] + list(cotangents))
    residuals = tuple([v for v in read if v in made])
    forward = _part(whole, places, (*results, *residuals), first)
    backward = _part(whole, (*residuals, *places, *[g.val for g in gs]), cotangents, rest)
    return forward, backward, wanted, given


def _part(whole: Graph, inputs: Sequence[Var], outputs: Sequence[Var], equations: Sequence[Equation]) -> Graph:
    """Some equations of a graph as one of their own. What it captures are constants."""
    part = whole.reopened(inputs, outputs)
    part.equations = tuple(equations)
    used = {v for e in equations for v in e.inputs}.union(outputs)
    part.constants = tuple([(h, v) for h, v in whole.constants if v in used and v not in inputs])
    part.fixed = {v for _, v in part.constants}
    return part
