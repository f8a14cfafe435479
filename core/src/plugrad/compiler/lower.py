"""From a staged graph to steps: programs for one device each, and between them what no program can hold.

Equations of one device become one program where their order allows it: first whatever is ready on other devices and
between devices, then all that is ready on this one. Control flow, moves between devices and ops that a backend cannot
run itself stand between programs, as calls of the op on tensors.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..dtypes import KIND
from ..interpreters.stage import Equation, Graph, Stage, Var
from ..op import OPS, Op
from ..ops.common import STOP_GRADIENT
from ..program import Eqn, Lit, Program
from ..state import within
from ..tensor import Tensor, tupled
from .sinking import sunk
from .target import Target, kernels_of, number


class Call(NamedTuple):
    """An op on tensors between programs: its graphs are compiled, its result is not recorded."""

    op: Op
    attrs: dict[str, Any]
    ins: tuple[Var, ...]
    outs: tuple[Var, ...]
    where: str


class Part(NamedTuple):
    """A program of one device, and the graph's variables for its inputs and outputs."""

    target: Target
    program: Program
    ins: tuple[Var, ...]
    outs: tuple[Var, ...]


Step = Call | Part


class GradientOf:
    """Stands for whatever is the gradient of a handle at the time, as its handle."""

    def __init__(self, handle: Tensor) -> None:
        self.handle = handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self.handle.grad, name)


class Lowered(NamedTuple):
    """A graph as steps. ``captured`` are the handles whose values are inputs behind the graph's own."""

    inputs: tuple[Var, ...]
    captured: tuple[tuple[Any, Var], ...]
    steps: tuple[Step, ...]
    outputs: tuple[Var, ...]


def lower(graph: Graph) -> Lowered:
    """The steps of a graph. What is written to handles from outside, and to their gradients, are outputs behind the
    graph's own; gradients that are read are inputs behind the captured handles.
    """
    flat, captured, fixed, names = _flattened(graph)
    aliases = {e.outputs[0]: e.inputs[0] for e in flat if e.op is STOP_GRADIENT}

    def real(v: Var) -> Var:
        v = names.get(v, v)
        while v in aliases:
            v = aliases[v]
        return v

    flat = [e._replace(inputs=tuple(map(real, e.inputs))) for e in flat if e.op is not STOP_GRADIENT]
    gradients = [v for _, v in graph.gradients if v is not None]
    outputs = tuple(map(real, (*graph.outputs, *[v for _, v in graph.state], *gradients)))
    flat, outputs = sunk(flat, outputs, captured, fixed, _apart)
    groups = list(_grouped(flat))
    loose = {v for place, g in groups if place is None for v in g[0].inputs}.union(outputs)
    consts = {v: h for h, v in captured if v in fixed and v not in loose}
    last = _last_uses(groups, outputs)
    steps = [_part(p, g, consts, i, last) if p is not None else _call(g[0]) for i, (p, g) in enumerate(groups)]
    read = loose.union(*[step.ins for step in steps])
    kept = [(h, v) for h, v in captured if v in read]
    kept += [(GradientOf(h), v) for h, v in graph.met if v is not None and v in read]
    return Lowered(graph.inputs, tuple(kept), tuple(steps), outputs)


Captured = list[tuple[Any, Var]]


def _flattened(graph: Graph) -> tuple[list[Equation], Captured, set[Var], dict[Var, Var]]:
    """The equations, with the functions of opaque ops in their place; all captured handles and which of them are fixed;
    and what became of the results of those ops.
    """
    captured: dict[int, tuple[Any, Var]] = {}
    names: dict[Var, Var] = {}
    for h, v in graph.constants:
        first = captured.setdefault(id(h), (h, v))[1]
        if first is not v:
            names[v] = first
    fixed = set(graph.fixed)
    found: list[Equation] = []
    for equation in graph.equations:
        e = equation._replace(inputs=tuple([names.get(v, v) for v in equation.inputs]))
        graphs = any(isinstance(v, Graph) for v in e.attrs.values())
        if graphs or e.op.decompose is None or not (e.op.opaque or _declined(e)):
            found.append(e)
            continue
        inner, places = _opened(e)
        known = dict(zip(places, e.inputs, strict=True))
        equations, more, settled, renamed = _flattened(inner)
        fixed |= settled
        for h, v in more:
            known[v] = captured.setdefault(id(h), (h, v))[1]
        for part in equations:
            where, region = part.where or e.where, part.region or e.region
            inputs = tuple([known.get(v, v) for v in part.inputs])
            found.append(part._replace(inputs=inputs, where=where, region=region))
        ends = [renamed.get(v, v) for v in inner.outputs]
        names.update(zip(e.outputs, [known.get(v, v) for v in ends], strict=True))
    return found, list(captured.values()), fixed, names


def _opened(equation: Equation) -> tuple[Graph, list[Var]]:
    """The graph of what an op is made of, and the variables of its operands."""
    op, attrs = equation.op, equation.attrs
    with within(mask=0, stage=None, capture=None, top=None, log=None), Stage() as level:
        inputs = [level.new(v.spec, v.be, v.dev) for v in equation.inputs]
        places = [t.val for t in inputs]
        found = op.decompose(*inputs, **attrs)
    return Graph(level, places, tupled(found)), places


def _where(e: Equation) -> Target:
    """The device of an equation: that of its key operand, or of its result."""
    v = e.inputs[e.op.key] if e.inputs else e.outputs[0]
    return Target(v.be, v.dev)


def _kernels(e: Equation) -> Any:
    attrs = _kernel_attrs(e)
    return kernels_of(e.op, _where(e), [v.spec for v in e.inputs], attrs)


def _declined(e: Equation) -> bool:
    """Whether no kernel will take such a call, although there are some, so that the op's parts are needed."""
    return e.op.run is None and not _kernels(e)


def _apart(e: Equation) -> bool:
    """Whether no program holds an equation: it has graphs, several devices, or no kernel."""
    several = len({(v.be, v.dev) for v in (*e.inputs, *e.outputs)}) > 1
    return several or e.op.run is not None or e.op.opaque or OPS.get(e.op.name) is not e.op or not _kernels(e)


def _call(e: Equation) -> Call:
    return Call(e.op, e.attrs, e.inputs, e.outputs, e.where)


def _kernel_attrs(e: Equation) -> dict[str, Any]:
    """The attributes as a kernel gets them."""
    return e.attrs if e.inputs else {**e.attrs, "device": e.attrs["device"][1]}


def _grouped(flat: Sequence[Equation]) -> Iterable[tuple[Target | None, list[Equation]]]:
    """The equations in groups that can run one after the other: of one device, or one apart (None)."""
    places = [None if _apart(e) else _where(e) for e in flat]
    sizes: dict[Any, int] = {}
    for p in places:
        sizes[p] = sizes.get(p, 0) + 1
    rank = {p: (p is not None, n, i) for i, (p, n) in enumerate(sizes.items())}  # the largest program comes last
    order = sorted(sizes, key=lambda p: rank[p])
    makers = {v: i for i, e in enumerate(flat) for v in e.outputs}
    missing = [len({makers[v] for v in e.inputs if v in makers}) for e in flat]
    readers: dict[int, list[int]] = {}
    for i, e in enumerate(flat):
        for m in {makers[v] for v in e.inputs if v in makers}:
            readers.setdefault(m, []).append(i)
    ready: dict[Any, list[int]] = {p: [] for p in order}
    for i, n in enumerate(missing):
        if not n:
            heapq.heappush(ready[places[i]], i)
    left = len(flat)
    while left:
        place = next(p for p in order if ready[p])
        group = []
        while ready[place]:
            i = heapq.heappop(ready[place])
            group.append(flat[i])
            for r in readers.get(i, ()):
                missing[r] -= 1
                if not missing[r]:
                    heapq.heappush(ready[places[r]], r)
            if place is None:
                break
        left -= len(group)
        yield place, group


def _last_uses(groups: Sequence[tuple[Target | None, list[Equation]]], outputs: Sequence[Var]) -> dict[Var, int]:
    """The last group that reads a variable; results are read behind all."""
    last = {v: i for i, (_, group) in enumerate(groups) for e in group for v in e.inputs}
    return {**last, **dict.fromkeys(outputs, len(groups))}


def _part(target: Target, group: Sequence[Equation], consts: dict[Var, Tensor], at: int, last: dict[Var, int]) -> Part:
    """The equations of one device as a program. Its outputs are what later groups read."""
    ids: dict[Var, int] = {}
    made = {v for e in group for v in e.outputs}
    read = dict.fromkeys([v for e in group for v in e.inputs if v not in made])
    ins = tuple([v for v in read if v not in consts])
    literals = {v: Lit(number(h.val, target), v.spec.dtype) for v, h in consts.items() if v in read and _scalar(h)}
    for v in (*ins, *[v for v in read if v in consts and v not in literals], *[v for e in group for v in e.outputs]):
        ids.setdefault(v, len(ids))
    eqns = []
    for e in group:
        operands = tuple([literals[v] if v in literals else ids[v] for v in e.inputs])
        attrs = tuple(sorted(_kernel_attrs(e).items()))
        eqns.append(Eqn(e.op.name, operands, tuple([ids[v] for v in e.outputs]), attrs, e.where, e.region))
    outs = tuple([v for e in group for v in e.outputs if last.get(v, -1) > at])
    values = {ids[v]: consts[v].val for v in read if v in consts and v not in literals}
    specs, places = tuple([v.spec for v in ids]), tuple([ids[v] for v in outs])
    return Part(target, Program(specs, tuple(range(len(ins))), values, tuple(eqns), places), ins, outs)


def _scalar(h: Tensor) -> bool:
    """Whether a constant is a number that Python can hold exactly."""
    return h.shape == () and KIND[h.dt] in "biufc"
