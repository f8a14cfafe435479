"""The pass ``simplify``: algebra that is exact in floating point too, and movement that comes to nothing.

What is not exact stays: adding 0.0 (it turns -0.0 into 0.0), multiplying by zero (NaN), logarithms of exponentials.
Only the sign of a NaN may be another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..backend import Spec
from ..dtypes import CODE, KIND
from ..op import broadcast_shapes
from ..program import ALIAS, Eqn, Lit, Operand, Program
from .rewrite import is_elementwise, renamed, spec_of
from .target import Target

Made = dict[int, Eqn]
"""The equation of a value."""
Rule = Callable[[Eqn, Sequence[Spec], Made], "Eqn | Operand | None"]
"""A simpler equation with the same results, what the only result is another name for, or None."""


def run(program: Program, target: Target) -> Program:
    """Apply the rules to each equation in turn, operands first, as often as one fits."""
    names: dict[int, Operand] = {}
    made: Made = {}
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        eqn = renamed(eqn, names)
        found: Any = eqn
        while isinstance(found, Eqn):
            eqn, found = found, _simpler(found, program.specs, made)
        if found is not None:
            names[eqn.outs[0]] = found
        if found is None or isinstance(found, Lit) or eqn.outs[0] in program.outputs:
            eqns.append(eqn)
            made.update(dict.fromkeys(eqn.outs, eqn))
    outputs = tuple([x if type(x := names.get(v, v)) is int else v for v in program.outputs])
    return program.replace(eqns=tuple(eqns), outputs=outputs)


def _simpler(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Any:
    """What the first rule that fits says."""
    for rule in _RULES.get(eqn.op, ()):
        found = rule(eqn, specs, made)
        if found is not None:
            return found
    return _operands(eqn, specs, made) if is_elementwise(eqn.op) else None


def _operands(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Eqn | None:
    """An elementwise op of broadcast or constant operands reads what they were made of, if the shape stays."""
    for i, x in enumerate(eqn.ins):
        source = made.get(x) if type(x) is int else None
        if source is None or source.op not in ("broadcast_to", "full"):
            continue
        attrs = dict(source.attrs)
        new: Operand = source.ins[0] if source.op == "broadcast_to" else _literal(attrs)
        ins = (*eqn.ins[:i], new, *eqn.ins[i + 1 :])
        shapes = [spec_of(y, specs).shape for y in ins]
        if broadcast_shapes(eqn.op, *shapes) == specs[eqn.outs[0]].shape:
            return eqn._replace(ins=ins)
    return None


def _literal(attrs: dict[str, Any]) -> Lit:
    """The value of ``full`` as its dtype holds it."""
    dtype = attrs["dtype"]
    return Lit(dtype.type(attrs["value"]).item() if dtype.kind in "biufc" else attrs["value"], dtype)


def _same(eqn: Eqn, specs: Sequence[Spec], x: Operand) -> Operand | None:
    """``x`` for the result, if it has its shape and dtype."""
    return x if spec_of(x, specs) == specs[eqn.outs[0]] else None


def _identity(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Operand | None:
    """The same shape and dtype: nothing happens."""
    return _same(eqn, specs, eqn.ins[0])


def _always(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Operand | None:
    """A copy is another name: values never change."""
    return eqn.ins[0]


def _before(eqn: Eqn, made: Made, op: str) -> Eqn | None:
    """The equation of the operand, if it is of that op."""
    x = eqn.ins[0]
    source = made.get(x) if type(x) is int else None
    return source if source is not None and source.op == op else None


def _reshape(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Eqn | None:
    source = _before(eqn, made, "reshape")
    return None if source is None else eqn._replace(ins=source.ins)


def _permute(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Eqn | Operand | None:
    axes = eqn.attr("axes")
    if axes == tuple(range(len(axes))):
        return eqn.ins[0]
    source = _before(eqn, made, "permute")
    if source is None:
        return None
    first = source.attr("axes")
    return eqn._replace(ins=source.ins, attrs=(("axes", tuple([first[a] for a in axes])),))


def _slice(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Eqn | Operand | None:
    attrs = dict(eqn.attrs)
    shape = spec_of(eqn.ins[0], specs).shape
    if attrs["size"] == shape and not any(attrs["start"]) and all(k == 1 for k in attrs["step"]):
        return eqn.ins[0]
    source = _before(eqn, made, "slice")
    if source is None:
        return None
    outer = dict(source.attrs)
    start = tuple([a + b * k for a, b, k in zip(outer["start"], attrs["start"], outer["step"], strict=True)])
    step = tuple([a * b for a, b in zip(outer["step"], attrs["step"], strict=True)])
    return eqn._replace(ins=source.ins, attrs=(("size", attrs["size"]), ("start", start), ("step", step)))


def _broadcast(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Eqn | None:
    source = _before(eqn, made, "broadcast_to")
    if source is not None:
        return eqn._replace(ins=source.ins)
    if isinstance(eqn.ins[0], Lit):
        return None
    source = _before(eqn, made, "full")
    if source is None:
        return None
    attrs = {**dict(source.attrs), "shape": eqn.attr("shape")}
    return Eqn("full", (), eqn.outs, tuple(sorted(attrs.items())), eqn.where, eqn.region)


def _cast(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Eqn | None:
    """Two casts are one where the first keeps every value."""
    source = _before(eqn, made, "cast")
    if source is None:
        return None
    narrow, wide = spec_of(source.ins[0], specs).dtype, specs[source.outs[0]].dtype
    kinds = KIND[CODE[narrow]], KIND[CODE[wide]]
    keeps = kinds[0] == kinds[1] and narrow.itemsize <= wide.itemsize and narrow.kind == wide.kind and narrow != wide
    return eqn._replace(ins=source.ins) if keeps or narrow == wide else None


def _neg(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Operand | None:
    source = _before(eqn, made, "neg")
    return None if source is None else source.ins[0]


def _value(x: Operand) -> Any:
    return x.value if isinstance(x, Lit) else None


def _mul(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Eqn | Operand | None:
    x, y = eqn.ins
    if isinstance(x, Lit) and not isinstance(y, Lit):
        return eqn._replace(ins=(y, x))
    if isinstance(y, Lit) and y.dtype.kind in "iuf":
        if y.value == 1:
            return _same(eqn, specs, x)
        if y.value == -1 and y.dtype.kind != "u" and _same(eqn, specs, x) is not None:
            return Eqn("neg", (x,), eqn.outs, (), eqn.where, eqn.region)
    return None


def _div(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Eqn | Operand | None:
    """By a power of two: the same as multiplying by its inverse, as both only change the exponent."""
    x, y = eqn.ins
    if not isinstance(y, Lit) or y.dtype.kind != "f" or not isinstance(y.value, (int, float)):
        return None
    if y.value == 1:
        return _same(eqn, specs, x)
    if y.value and math.isfinite(y.value) and abs(math.frexp(y.value)[0]) == 0.5 and 2.0**-14 <= abs(y.value) <= 2**14:
        return eqn._replace(op="mul", ins=(x, Lit(1.0 / y.value, y.dtype)))
    return None


def _add(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Operand | None:
    """Zero: of integers; of floats only -0.0, as -0.0 + 0.0 is 0.0."""
    for x, y in (eqn.ins, eqn.ins[::-1]):
        zero = _value(x)
        if zero == 0 and isinstance(x, Lit):
            harmless = x.dtype.kind in "iu" or (x.dtype.kind == "f" and math.copysign(1.0, zero) < 0)
            if harmless and not isinstance(y, Lit):
                return _same(eqn, specs, y)
    return None


def _sub(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Operand | None:
    x, y = eqn.ins
    harmless = (
        isinstance(y, Lit) and y.value == 0 and y.dtype.kind in "iuf" and math.copysign(1.0, float(_value(y))) > 0
    )
    return _same(eqn, specs, x) if harmless and not isinstance(x, Lit) else None


def _pow(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Operand | None:
    """To the first; that of a complex number is computed in another way."""
    first = _value(eqn.ins[1]) == 1 and spec_of(eqn.ins[0], specs).dtype.kind != "c"
    return _same(eqn, specs, eqn.ins[0]) if first else None


def _pad(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Operand | None:
    return None if any(any(amounts) for _, amounts in eqn.attrs) else eqn.ins[0]


def _where(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Operand | None:
    """A known condition, or the same on both sides."""
    c, x, y = eqn.ins
    if isinstance(c, Lit):
        return _same(eqn, specs, x if c.value else y)
    return _same(eqn, specs, x) if type(x) is int and x == y else None


def _reduction(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Operand | None:
    """Over no axis. Kernels begin a sum with 0.0, so that -0.0 may become 0.0, and products with 1 + 0j."""
    exact = {"sum": "biu", "prod": "biuf"}.get(eqn.op)
    keeps = exact is None or spec_of(eqn.ins[0], specs).dtype.kind in exact
    return _same(eqn, specs, eqn.ins[0]) if keeps and eqn.attr("axis") == () else None


def _joined(eqn: Eqn, specs: Sequence[Spec], made: Made) -> Operand | None:
    """One operand, or all others of size 0."""
    whole = [x for x in eqn.ins if spec_of(x, specs) == specs[eqn.outs[0]]]
    return whole[0] if len(eqn.ins) == 1 or (whole and specs[eqn.outs[0]].shape[eqn.attr("axis")]) else None


_RULES: dict[str, tuple[Rule, ...]] = {
    ALIAS: (_always,),
    "copy": (_always,),
    "reshape": (_identity, _reshape),
    "permute": (_permute,),
    "broadcast_to": (_identity, _broadcast),
    "slice": (_slice,),
    "cast": (_identity, _cast),
    "pad": (_pad,),
    "concat": (_joined,),
    "neg": (_neg,),
    "mul": (_mul,),
    "div": (_div,),
    "add": (_add,),
    "sub": (_sub,),
    "pow": (_pow,),
    "where": (_where,),
    **dict.fromkeys(("sum", "prod", "max", "min"), (_reduction,)),
}
