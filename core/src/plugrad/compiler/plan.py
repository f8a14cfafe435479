"""Memory: how long each value lives, which values share memory, and where each lies in one arena.

A value lives from the equation that gives it to the last that reads it or a view of it. Elementwise results take the
memory of an operand that dies there; what is left is placed by size, the largest first, each as low as its lifetime
allows (Pisarchyk and Lee, 2020). Outputs get memory of their own, or that of an input which the caller gives up for
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..program import ALIAS, ALIGNMENT, FUSED, Body, Eqn, Place, Plan, Program
from .rewrite import is_elementwise
from .views import MOVES, roots

_NEVER_FAIL = frozenset({"sum", "prod", "max", "min", "argmax", "argmin", "cumsum", "matmul", "full", "iota"}) | MOVES
_NEVER_FAIL |= {"pad", "concat", "copy", "random_bits", ALIAS, FUSED}
UPDATES = frozenset({"slice_update", "scatter", "scatter_add", "scatter_mul", "scatter_min", "scatter_max"})
"""Ops that change a few elements of operand 0, and may do it in its memory."""


@dataclass
class Block:
    """Memory that values share one after the other: born with equation ``born``, last read by equation ``dies``."""

    nbytes: int
    born: int
    dies: int
    values: list[int] = field(default_factory=list)
    offset: int = 0


def materialised(program: Program) -> Program:
    """Outputs that are inputs, constants, views or another output get an equation that copies them."""
    views = {v for v, r in enumerate(roots(program)) if r != v}
    taken = {*program.inputs, *program.consts, *views}
    specs, eqns, outputs = list(program.specs), list(program.eqns), []
    for v in program.outputs:
        if v in taken:
            specs.append(specs[v])
            eqns.append(Eqn("copy", (v,), (len(specs) - 1,)))
            v = len(specs) - 1
        taken.add(v)
        outputs.append(v)
    return program.replace(specs=tuple(specs), eqns=tuple(eqns), outputs=tuple(outputs))


def planned(program: Program, donations: Sequence[tuple[int, int]] = ()) -> Program:
    """The program with a plan. ``donations`` pairs positions (input, output) that could share memory; those that do
    are in ``donated``.
    """
    root = roots(program)
    last = _last_reads(program, root)
    places: dict[int, Place] = {v: Place("input", k) for k, v in enumerate(program.inputs)}
    places.update({v: Place("const", 0) for v in program.consts})
    places.update({v: Place("view", e.values[0]) for e in program.eqns for v in e.outs if root[v] != v})
    donated = tuple([pair for pair in donations if _donates(program, pair, root)])
    for k, v in enumerate(program.outputs):
        places[v] = Place("output", k)
    for i, k in donated:
        places[program.outputs[k]] = Place("donated", i)
    blocks = _blocks(program, places, root, last)
    size = _layout(blocks)
    for block in blocks:
        places.update({v: Place("arena", block.offset) for v in block.values})
    plan = Plan(tuple([places[v] for v in range(len(program.specs))]), size)
    return program.replace(plan=plan, donated=donated)


def _last_reads(program: Program, root: list[int]) -> dict[int, int]:
    """By root, the last equation that reads it or a view of it."""
    last: dict[int, int] = {}
    for i, e in enumerate(program.eqns):
        for v in e.values:
            last[root[v]] = i
    last.update({root[v]: len(program.eqns) for v in program.outputs})
    return last


def in_place(eqn: Eqn, k: int, out: int, program: Program) -> bool:
    """Whether an equation may write its result ``out`` into the memory of operand ``k``: each element from the element
    at the same place, or a few elements replaced.
    """
    x = eqn.ins[k]
    if type(x) is not int or program.specs[x].shape != program.specs[out].shape:
        return False
    if program.specs[x].dtype.itemsize != program.specs[out].dtype.itemsize:
        return False
    if eqn.op == FUSED:
        body: Body = eqn.attr("body")
        plain = all(is_elementwise(part.op) for part in body.eqns)
        return plain and program.specs[out].shape == body.shape and eqn.ins.count(x) == 1
    if eqn.op in UPDATES:
        return k == 0 and eqn.ins.count(x) == 1 and program.specs[x].dtype == program.specs[out].dtype
    return is_elementwise(eqn.op) and program.specs[x].dtype == program.specs[out].dtype


def may_fail(e: Eqn) -> bool:
    """Whether an equation may fail for the values of its operands."""
    return e.op not in _NEVER_FAIL and not is_elementwise(e.op)


def _donates(program: Program, pair: tuple[int, int], root: list[int]) -> bool:
    """Whether an output may be written over an input: the last that reads it makes the output or stands before, and
    nothing behind can fail, or the caller would be left with half a step.
    """
    given, out = program.inputs[pair[0]], program.outputs[pair[1]]
    if program.specs[given] != program.specs[out] or root[out] != out:
        return False
    maker = next((i for i, e in enumerate(program.eqns) if out in e.outs), None)
    if maker is None or any(map(may_fail, program.eqns[maker:])):
        return False
    for i, e in enumerate(program.eqns):
        for k, v in enumerate(e.ins):
            if type(v) is int and root[v] == given and (i > maker or (i == maker and v != given)):
                return False
            if i == maker and v == given and not in_place(e, k, out, program):
                return False
    return True


def _blocks(program: Program, places: dict[int, Place], root: list[int], last: dict[int, int]) -> list[Block]:
    """The blocks of the arena, with results in the memory of operands that die where they can."""
    blocks: list[Block] = []
    of: dict[int, Block] = {}
    for i, e in enumerate(program.eqns):
        taken: set[int] = set()
        for v in e.outs:
            if v in places or not program.nbytes(v):
                places.setdefault(v, Place("arena", 0))
                continue
            dies = last.get(v, i)
            for k, x in enumerate(e.ins):
                block = of.get(x) if type(x) is int else None
                if block is None or block.dies != i or id(block) in taken:
                    continue
                viewed = any(root[y] == x for y in e.values if y != x)
                if not viewed and in_place(e, k, v, program):
                    taken.add(id(block))
                    block.dies, of[v] = dies, block
                    block.values.append(v)
                    break
            else:
                of[v] = Block(-(-program.nbytes(v) // ALIGNMENT) * ALIGNMENT, i, dies, [v])
                blocks.append(of[v])
    return blocks


def _layout(blocks: Sequence[Block]) -> int:
    """Offsets for all blocks; the size of the arena."""
    placed: list[Block] = []
    for block in sorted(blocks, key=lambda b: (-b.nbytes, b.born)):
        offset = 0
        for other in placed:  # by offset
            if other.dies < block.born or block.dies < other.born:
                continue
            if other.offset - offset >= block.nbytes:
                break
            offset = max(offset, other.offset + other.nbytes)
        block.offset = offset
        at = next((k for k, b in enumerate(placed) if b.offset > offset), len(placed))
        placed.insert(at, block)
    return max([b.offset + b.nbytes for b in placed], default=0)
