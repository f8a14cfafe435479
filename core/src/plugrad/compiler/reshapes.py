"""The pass ``reshapes``: elementwise ops of reshaped operands work in the shape before, and their result is reshaped.

A layer over the last axis multiplies matrices, between reshapes to two axes and back. What stands between two such
layers would otherwise be in another shape than the products, and could not be grouped with them.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..backend import Spec
from ..program import Eqn, Lit, Operand, Program
from .rewrite import is_elementwise, spec_of
from .target import Target

Made = dict[int, Eqn]


def run(program: Program, target: Target) -> Program:
    """Reshapes moved behind the elementwise ops that read them."""
    specs = list(program.specs)
    made: Made = {}
    eqns: list[Eqn] = []
    kept = set(program.outputs)
    for eqn in program.eqns:
        source = None if kept.intersection(eqn.outs) else _source(eqn, specs, made)
        if source is not None:
            (out,) = eqn.outs
            specs.append(Spec(source, specs[out].dtype))
            inner = len(specs) - 1
            ins = tuple([_before(x, specs[out].shape, specs, made) for x in eqn.ins])
            eqns.append(eqn._replace(ins=ins, outs=(inner,)))
            eqn = Eqn("reshape", (inner,), (out,), (("shape", specs[out].shape),), eqn.where, eqn.region)
        eqns.append(eqn)
        made.update(dict.fromkeys(eqn.outs, eqn))
    return program.replace(specs=tuple(specs), eqns=tuple(eqns))


def _source(eqn: Eqn, specs: Sequence[Spec], made: Made) -> tuple[int, ...] | None:
    """The shape in which an elementwise op can work just as well, if all its large operands were reshaped from it."""
    if len(eqn.outs) != 1 or not is_elementwise(eqn.op):
        return None
    shape = specs[eqn.outs[0]].shape
    found = {
        spec_of(source.ins[0], specs).shape
        for x in eqn.values
        if specs[x].shape == shape and (source := made.get(x)) is not None and source.op == "reshape"
    }
    if len(found) != 1 or () in (*found, shape):
        return None
    (source_shape,) = found
    common = 0
    for m, n in zip(shape[::-1], source_shape[::-1], strict=False):
        if m != n:
            break
        common += 1
    return source_shape if all(_fits(x, shape, common, specs, made) for x in eqn.ins) else None


def _fits(x: Operand, shape: tuple[int, ...], common: int, specs: Sequence[Spec], made: Made) -> bool:
    """Whether an operand is known in the shape before: reshaped too, or along the axes that stay."""
    if isinstance(x, Lit) or len(specs[x].shape) <= common:
        return True
    source = made.get(x)
    return specs[x].shape == shape and source is not None and source.op == "reshape"


def _before(x: Operand, shape: tuple[int, ...], specs: Sequence[Spec], made: Made) -> Operand:
    source = made.get(x) if type(x) is int and specs[x].shape == shape else None
    return source.ins[0] if source is not None and source.op == "reshape" else x
