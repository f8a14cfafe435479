"""What the passes share: names for another value, operands in shapes, and a program without its unused numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ..backend import Spec
from ..op import OPS
from ..program import Eqn, Lit, Operand, Program

E = TypeVar("E")


def spec_of(x: Operand, specs: Sequence[Spec]) -> Spec:
    """Shape and dtype of an operand."""
    return Spec((), x.dtype) if isinstance(x, Lit) else specs[x]


def is_elementwise(name: str) -> bool:
    """Whether an op computes each element from those at the same place, and broadcasts."""
    op = OPS.get(name)
    return op is not None and op.elementwise and not op.alias and op.run is None


def renamed(eqn: Eqn, names: Mapping[int, Operand]) -> Eqn:
    """The equation with other operands in place of those that have another name."""
    if not any(x in names for x in eqn.values):
        return eqn
    return eqn._replace(ins=tuple([names.get(x, x) if type(x) is int else x for x in eqn.ins]))


def needed(eqns: Sequence[E], outputs: Iterable[Any], gives: str = "outs", reads: str = "values") -> tuple[E, ...]:
    """The equations that the outputs depend on: of a program, or of a graph, whose equations have other fields."""
    used, found = set(outputs), []
    for eqn in reversed(eqns):
        if not used.isdisjoint(getattr(eqn, gives)):
            found.append(eqn)
            used.update(getattr(eqn, reads))
    return tuple(reversed(found))


def compacted(program: Program) -> Program:
    """The same program, its values numbered without gaps: inputs, constants, results in their order. Constants that
    nothing reads are left out, inputs are not.
    """
    read = {x for eqn in program.eqns for x in eqn.values}.union(program.outputs)
    order = [*program.inputs, *[v for v in program.consts if v in read], *[v for e in program.eqns for v in e.outs]]
    new = {v: i for i, v in enumerate(dict.fromkeys(order))}
    if all(new.get(v) == v for v in range(len(program.specs))):
        return program
    eqns = [
        e._replace(ins=tuple([new[x] if type(x) is int else x for x in e.ins]), outs=tuple([new[v] for v in e.outs]))
        for e in program.eqns
    ]
    return program.replace(
        specs=tuple([program.specs[v] for v in new]),
        inputs=tuple([new[v] for v in program.inputs]),
        consts={new[v]: value for v, value in program.consts.items() if v in read},
        eqns=tuple(eqns),
        outputs=tuple([new[v] for v in program.outputs]),
    )
