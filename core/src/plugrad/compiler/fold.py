"""The pass ``fold``: what depends on literals and constants only is computed while compiling, by the device itself."""

from __future__ import annotations

from ..errors import PlugradError
from ..program import ALIAS, FUSED, Eqn, Lit, Program
from ..tensor import tupled
from .target import Target, caller, number

LIMIT = 1 << 18
"""Bytes: a larger constant is computed again each time rather than kept."""


def run(program: Program, target: Target) -> Program:
    """Constants and literals in place of equations. Results of shape () become literals."""
    consts = dict(program.consts)
    literals: dict[int, Lit] = {}
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        eqn = eqn._replace(ins=tuple([literals.get(x, x) if type(x) is int else x for x in eqn.ins]))
        if not _constant(eqn, program, consts):
            eqns.append(eqn)
            continue
        try:
            found = tupled(caller(eqn, program.specs, target)(*[consts[v] for v in eqn.values]))
        except (PlugradError, ArithmeticError, IndexError, ValueError):
            eqns.append(eqn)  # it fails when it runs, if it does
            continue
        consts.update(zip(eqn.outs, found, strict=True))
        for v in eqn.outs:
            spec = program.specs[v]
            if spec.shape == () and spec.dtype.kind in "biufc":
                literals[v] = Lit(number(consts[v], target), spec.dtype)
    return program.replace(eqns=tuple(eqns), consts=consts)


def _constant(eqn: Eqn, program: Program, consts: dict[int, object]) -> bool:
    """Whether an equation can be computed now, and is worth it: ``full`` is a literal for whoever reads it."""
    if eqn.op in (ALIAS, FUSED) or any(v not in consts for v in eqn.values):
        return False
    if eqn.op in ("full", "broadcast_to") and program.specs[eqn.outs[0]].shape != ():
        return False
    return sum(map(program.nbytes, eqn.outs)) <= LIMIT
