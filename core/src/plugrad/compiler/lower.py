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
    ends = (*graph.outputs, *[v for _, v in graph.state], *[v for _, v in graph.gradients])
    outputs = tuple(map(real, ends))
    flat, outputs, twins = sunk(flat, outputs, captured, fixed, _apart)
    hosted = Hosted(twins, flat)
    groups = list(_grouped(flat, hosted))
    loose = {v for place, g in groups if place is None for v in g[0].inputs}.union(outputs)
    consts = {v: h for h, v in captured if v in fixed and v not in loose}
    last = _last_uses(groups, outputs, hosted)
    first = {v: i for i, v in enumerate((*graph.inputs, *[v for _, v in captured], *outputs))}
    parts = _Parts(consts, last, hosted, first)
    steps = [parts.part(p, g, i) if p is not None else _call(g[0]) for i, (p, g) in enumerate(groups)]
    read = loose.union(*[step.ins for step in steps])
    kept = [(h, v) for h, v in captured if v in read]
    kept += [(GradientOf(h), v) for h, v in graph.met if v is not None and v in read]
    return Lowered(graph.inputs, tuple(kept), tuple(steps), outputs)


Captured = list[tuple[Any, Var]]
Group = tuple[Target | None, list[Equation]]


class Hosted:
    """The numbers that a program takes from the host, and gives to it, by their variables on the device."""

    def __init__(self, twins: dict[Var, Var], flat: Sequence[Equation]) -> None:
        made = {v for e in flat for v in e.outputs}
        self.ins = {v: host for v, host in twins.items() if v not in made}
        self.outs = {v: host for v, host in twins.items() if v in made}
        self.makers = {host: v for v, host in self.outs.items()}

    def maker(self, v: Var) -> Var:
        """The variable that an equation makes, if any does, for one that is read."""
        v = self.ins.get(v, v)
        return self.makers.get(v, v)


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


def _grouped(flat: Sequence[Equation], hosted: Hosted) -> Iterable[Group]:
    """The equations in groups that can run one after the other: of one device, or one apart (None)."""
    places = [None if _apart(e) else _where(e) for e in flat]
    sizes: dict[Any, int] = {}
    for p in places:
        sizes[p] = sizes.get(p, 0) + 1
    rank = {p: (p is not None, n, i) for i, (p, n) in enumerate(sizes.items())}  # the largest program comes last
    order = sorted(sizes, key=lambda p: rank[p])
    makers = {v: i for i, e in enumerate(flat) for v in e.outputs}
    needs = [{makers[v] for v in map(hosted.maker, e.inputs) if v in makers} for e in flat]
    missing = [len(need) for need in needs]
    readers: dict[int, list[int]] = {}
    for i, need in enumerate(needs):
        for m in need:
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


def _last_uses(groups: Sequence[Group], outputs: Sequence[Var], hosted: Hosted) -> dict[Var, int]:
    """The last group that reads a variable; results are read behind all."""
    last = {hosted.ins.get(v, v): i for i, (_, group) in enumerate(groups) for e in group for v in e.inputs}
    return {**last, **dict.fromkeys(outputs, len(groups))}


class _Parts:
    """Makes programs of the equations of one device."""

    def __init__(self, consts: dict[Var, Tensor], last: dict[Var, int], hosted: Hosted, first: dict[Var, int]) -> None:
        """``consts``: values that are part of a program. ``last``: by variable, the last group that reads it.
        ``first``: the order in which a program takes its inputs and gives its outputs, as far as there is one.
        """
        self.consts, self.last, self.hosted = consts, last, hosted
        self.rank = lambda v: first.get(v, len(first))

    def part(self, target: Target, group: Sequence[Equation], at: int) -> Part:
        """The program of group number ``at``. Its outputs are what later groups read."""
        ids: dict[Var, int] = {}
        consts, ins_of, outs_of = self.consts, self.hosted.ins, self.hosted.outs
        made = {v for e in group for v in e.outputs}
        read = dict.fromkeys([v for e in group for v in e.inputs if v not in made])
        ins = sorted([v for v in read if v not in consts], key=lambda v: self.rank(ins_of.get(v, v)))
        literals = {v: Lit(number(h.val, target), v.spec.dtype) for v, h in consts.items() if v in read and _scalar(h)}
        whole = [v for v in read if v in consts and v not in literals]
        for v in (*ins, *whole, *[v for e in group for v in e.outputs]):
            ids.setdefault(v, len(ids))
        eqns = []
        for e in group:
            operands = tuple([literals[v] if v in literals else ids[v] for v in e.inputs])
            attrs = tuple(sorted(_kernel_attrs(e).items()))
            eqns.append(Eqn(e.op.name, operands, tuple([ids[v] for v in e.outputs]), attrs, e.where, e.region))
        leaving = [(v, ids[v]) for e in group for v in e.outputs if self.last.get(v, -1) > at]
        leaving += [(outs_of[v], ids[v]) for e in group for v in e.outputs if v in outs_of]
        leaving.sort(key=lambda pair: self.rank(pair[0]))
        values = {ids[v]: consts[v].val for v in whole}
        program = Program(
            tuple([v.spec for v in ids]),
            tuple(range(len(ins))),
            values,
            tuple(eqns),
            tuple([i for _, i in leaving]),
            host_inputs=frozenset([i for i, v in enumerate(ins) if v in ins_of]),
            host_outputs=frozenset([k for k, (v, _) in enumerate(leaving) if v in self.hosted.makers]),
        )
        return Part(target, program, tuple([ins_of.get(v, v) for v in ins]), tuple([v for v, _ in leaving]))


def _scalar(h: Tensor) -> bool:
    """Whether a constant is a number that Python can hold exactly."""
    return h.shape == () and KIND[h.dt] in "biufc"
