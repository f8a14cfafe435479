"""The text of a group of elementwise ops: one device function that computes an element. Knows no array and no layout.

Each op is rounded by itself, as in its own kernel: sums, differences and products of floats are intrinsics that the
compiler does not contract with their neighbours.
"""

from __future__ import annotations

import numpy as np

from plugrad.program import Body, Eqn, Lit, Operand

from . import expressions
from .generate import Function, applied
from .text import COMPUTED, STORED, short

ELEMENTWISE = frozenset({*expressions.UNARY, *expressions.BINARY, *expressions.COMPARISONS, *expressions.SELECTION})
CAST = "cast"
REDUCTIONS = frozenset({"sum", "prod", "max", "min"})
FUSES = ELEMENTWISE | REDUCTIONS | {CAST}
"""What may stand in a group."""

EXACT = {
    ("add", "f4"): "__fadd_rn(x, y)",
    ("sub", "f4"): "__fsub_rn(x, y)",
    ("mul", "f4"): "__fmul_rn(x, y)",
    ("add", "f8"): "__dadd_rn(x, y)",
    ("sub", "f8"): "__dsub_rn(x, y)",
    ("mul", "f8"): "__dmul_rn(x, y)",
}
"""Expressions in the place of the table's, by op and dtype."""


STORED_BYTES = {"b1": 1} | {name: int(name[1]) for name in STORED if name != "b1"}
"""An element's width, by short name."""


class Unwritten(Exception):
    """A body that has no text here: an op, a dtype or a form of operands that the tables do not know."""


def function(eqn: Eqn, operands: tuple[str, ...], result: str) -> Function:
    """What an equation computes, of operands and a result of these dtypes."""
    op = eqn.op
    if op == CAST:
        return Function(CAST, expressions.conversion(operands[0], result), result, operands)
    for table in (expressions.UNARY, expressions.BINARY, expressions.COMPARISONS, expressions.SELECTION):
        expression = table.get(op, {}).get(expressions.kind(operands[-1]))
        if expression is not None:
            return Function(op, EXACT.get((op, operands[-1]), expression), result, operands)
    raise Unwritten(f"no expression for {op} of {', '.join(operands)}")


def literal(lit: Lit) -> str:
    """A number of exactly this dtype, in C.

    >>> literal(Lit(0.5, np.dtype("float32"))), literal(Lit(-1, np.dtype("int32")))
    ('__int_as_float(0x3f000000)', 'int(0xffffffffffffffffull)')
    """
    name = stored(lit.dtype)
    with np.errstate(all="ignore"):
        value = np.asarray(lit.value).astype(lit.dtype)
    if name == "b1":
        return "true" if value else "false"
    if name == "f4":
        return f"__int_as_float({int(value.view(np.uint32)):#010x})"
    if name == "f8":
        return f"__longlong_as_double({int(value.view(np.uint64)):#018x}ll)"
    return f"{COMPUTED[name]}({int(value) % (1 << 64):#x}ull)"


def stored(dtype: np.dtype) -> str:
    """The short name of a dtype; Unwritten where this backend does not store it."""
    name = short(dtype)
    if name not in STORED:
        raise Unwritten(f"{dtype} is not stored")
    return name


class Text:
    """A body's own text. ``parts`` are its elementwise equations, ``ends`` its reductions; ``written`` are the values
    that leave it as they are, ``reduced`` those that reductions read.
    """

    def __init__(self, body: Body) -> None:
        self.body = body
        self.parts = tuple([e for e in body.eqns if e.op not in REDUCTIONS])
        self.ends = tuple([e for e in body.eqns if e.op in REDUCTIONS])
        ended = {v for e in self.ends for v in e.outs}
        for eqn in self.parts:
            if not ended.isdisjoint(eqn.values) or body.specs[eqn.outs[0]].shape != body.shape or len(eqn.outs) != 1:
                raise Unwritten(f"{eqn.op} reads a reduction, or has another shape than its group")
            if eqn.op not in ELEMENTWISE and eqn.op != CAST:
                raise Unwritten(f"{eqn.op} is not elementwise")
        self.operands = tuple([stored(spec.dtype) for spec in body.specs[: body.operands]])
        self.written = tuple([v for v in body.outputs if v not in ended])
        self.reduced = tuple([self._reduced(e) for e in self.ends])

    def _reduced(self, eqn: Eqn) -> int:
        x = eqn.ins[0]
        if type(x) is not int or self.body.specs[x].shape != self.body.shape or eqn.outs[0] not in self.body.outputs:
            raise Unwritten(f"{eqn.op} of what is not of its group's shape, or that nothing reads")
        return x

    def dtype(self, x: Operand) -> str:
        """The short name of a value's dtype."""
        return stored(x.dtype if isinstance(x, Lit) else self.body.specs[x].dtype)

    def function(self, name: str, reduced: tuple[int, ...]) -> str:
        """``body_NAME(v0, ..., y0, ..., z0, ...)``: of operands, results that leave, and values to reduce."""
        made: dict[Function, str] = {}
        head, lines = "", []
        for eqn in self.parts:
            operands = tuple([self.dtype(x) for x in eqn.ins])
            what = function(eqn, operands, self.dtype(eqn.outs[0]))
            if what not in made:
                made[what] = f"{name}_{len(made)}"
                head += applied(made[what], what)
            given = ", ".join([self._named(x) for x in eqn.ins])
            (v,) = eqn.outs
            lines.append(f"  const {COMPUTED[what.result]} v{v} = apply_{made[what]}({given});")
        parameters = [f"const {COMPUTED[d]} v{k}" for k, d in enumerate(self.operands)]
        parameters += [f"{STORED[self.dtype(v)]} &y{k}" for k, v in enumerate(self.written)]
        parameters += [f"{COMPUTED[self.dtype(v)]} &z{k}" for k, v in enumerate(reduced)]
        lines += [f"  y{k} = v{v};" for k, v in enumerate(self.written)]
        lines += [f"  z{k} = v{v};" for k, v in enumerate(reduced)]
        text = "\n".join(lines)
        return f"{head}__device__ inline void body_{name}({', '.join(parameters)}) {{\n{text}\n}}\n"

    def _named(self, x: Operand) -> str:
        return literal(x) if isinstance(x, Lit) else f"v{x}"
