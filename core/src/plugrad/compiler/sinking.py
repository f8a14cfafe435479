"""Numbers that are computed on the host and moved to a device are computed there instead.

Optimizers keep the count of their steps and the rate on the reference backend, and make the few numbers of a step from
them. A program on the host for nine numbers costs more than all it computes; on the device they are part of the
program. What the host itself needs stays there too, unless the device's programs take numbers from the host and give
them to it (``Backend.host_scalars``): then they make what is written to the host as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..backend import Spec
from ..dispatch import lift
from ..interpreters.stage import Equation, Var
from ..ops.creation import TO_DEVICE
from .rewrite import needed
from .target import Target, kernels_of, number

HOST = Target(0, "0")


Captured = list[tuple[Any, Var]]


def sunk(
    flat: Sequence[Equation],
    outputs: Sequence[Var],
    captured: Captured,
    fixed: set[Var],
    apart: Callable[[Equation], bool],
) -> tuple[list[Equation], tuple[Var, ...], dict[Var, Var]]:
    """The equations with scalars of the host computed on the device that most equations are on, and the outputs; then,
    by variables of the device, those of the host that have the same value without a move.

    ``apart`` says which equations no program holds; constants of the device are added to ``captured`` and ``fixed``.
    """
    places = Counter([Target(e.outputs[0].be, e.outputs[0].dev) for e in flat if not apart(e)])
    there = [(n, t) for t, n in places.items() if t.be != HOST.be]
    if not there:
        return list(flat), tuple(outputs), {}
    target = max(there, key=lambda pair: pair[0])[1]
    makers = {v: e for e in flat for v in e.outputs}
    moves = [e for e in flat if _moves(e, target)]

    def sinks(v: Var) -> bool:
        return _sinks(makers.get(v), target, apart)

    def lent(v: Var) -> bool:
        """Whether the program takes the number from the host, or gives it."""
        return (
            target.backend.host_scalars
            and (v.be, v.dev) == HOST
            and v.spec.shape == ()
            and v.spec.dtype.kind in "biufc"
        )

    kept = [e for e in moves if not sinks(e.inputs[0]) and not lent(e.inputs[0])]
    given = [v for v in dict.fromkeys(outputs) if lent(v) and sinks(v)]
    if len(kept) == len(moves) and not given:
        return list(flat), tuple(outputs), {}
    twins: dict[Var, Var] = {}
    made: dict[Var, Var] = {e.inputs[0]: e.outputs[0] for e in kept}
    numbers = {v: h for h, v in captured if v in fixed}
    new: list[Equation] = []
    ids = max([v.id for e in flat for v in (*e.inputs, *e.outputs)]) + 1

    def fresh(spec: Spec) -> Var:
        nonlocal ids
        ids += 1
        return Var(ids, spec, target.be, target.dev)

    def on_device(v: Var) -> Var:
        """The variable on the device for one of the host."""
        if v not in made:
            e = makers.get(v)
            if _sinks(e, target, apart) and e is not None:
                inputs = tuple([on_device(x) for x in e.inputs])
                outs = tuple([fresh(o.spec) for o in e.outputs])
                attrs = e.attrs if inputs else {**e.attrs, "device": (target.be, target.dev)}
                new.append(e._replace(attrs=attrs, inputs=inputs, outputs=outs))
                made.update(zip(e.outputs, outs, strict=True))
            elif v in numbers:
                made[v] = fresh(v.spec)
                captured.append((lift("compile", number(numbers[v].val, HOST), made[v].like()), made[v]))
                fixed.add(made[v])
            elif lent(v):
                made[v] = fresh(v.spec)
                twins[made[v]] = v
            else:
                made[v] = fresh(v.spec)
                new.append(Equation(TO_DEVICE, {"device": (target.be, target.dev)}, (v,), (made[v],), 0))
        return made[v]

    stay = set(map(id, kept))
    names = {e.outputs[0]: on_device(e.inputs[0]) for e in moves if id(e) not in stay}
    there_too = {v: on_device(v) for v in given}
    rest = [e for e in flat if e.outputs[0] not in names]
    replaced = [e._replace(inputs=tuple([names.get(v, v) for v in e.inputs])) for e in rest]
    ends = tuple([names.get(v, v) for v in outputs])
    read = [*[there_too.get(v, v) for v in ends], *twins.values()]
    found = list(needed(_in_order(new, replaced), read, "outputs", "inputs"))
    still = {v for e in found for v in e.outputs}  # what the host reads it makes itself
    twins.update({t: v for v, t in there_too.items() if v not in still})
    return found, ends, twins


def _moves(e: Equation, target: Target) -> bool:
    """Whether an equation brings a scalar of the host to the device."""
    if e.op is not TO_DEVICE or e.inputs[0].spec.shape != ():
        return False
    x, y = e.inputs[0], e.outputs[0]
    return (x.be, x.dev) == HOST and (y.be, y.dev) == target


def _sinks(e: Equation | None, target: Target, apart: Callable[[Equation], bool]) -> bool:
    """Whether an equation of the host computes scalars of scalars that the device could."""
    if e is None or e.op.run is not None or e.op.opaque or apart(e):
        return False
    if any((v.be, v.dev) != HOST or v.spec.shape != () for v in (*e.inputs, *e.outputs)):
        return False
    attrs = e.attrs if e.inputs else {**e.attrs, "device": target.dev}
    plain = e.op.elementwise or e.op.alias or e.op.name == "full"
    return plain and bool(kernels_of(e.op, target, [v.spec for v in e.inputs], attrs))


def _in_order(new: Sequence[Equation], rest: Sequence[Equation]) -> list[Equation]:
    """New equations as soon as what they read is there."""
    made = {v for e in (*new, *rest) for v in e.outputs}
    there: set[Var] = set()
    left, found = list(new), []
    for e in [None, *rest]:
        if e is not None:
            found.append(e)
            there.update(e.outputs)
        ready = True
        while ready:
            ready = False
            for n in list(left):
                if all(v in there or v not in made for v in n.inputs):
                    found.append(n)
                    there.update(n.outputs)
                    left.remove(n)
                    ready = True
    return found
