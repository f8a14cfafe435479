"""The text of an elementwise kernel, from an expression and how each operand lies. Knows no array and no device.

How an operand lies: ``d`` dense, ``v`` by strides, ``u`` one element in memory for all, ``s`` a scalar that is passed
by value, ``n`` the position itself.
"""

from __future__ import annotations

from typing import NamedTuple

from .layout import Ints
from .text import COMPUTED, STORED, UNSIGNED, Entry, Walk, template, walk

NAMES = "xyz"


class Function(NamedTuple):
    """What is computed: a name for it, the expression, short names of the result's and the operands' dtypes."""

    name: str
    expression: str
    result: str
    operands: tuple[str, ...]


class Form(NamedTuple):
    """How it is computed: each operand's letter, elements a step (0: by strides), the axes, 64-bit positions or not."""

    lies: str
    lanes: int
    rank: int
    wide: bool


def kernel_name(function: Function, form: Form) -> str:
    """A name that says everything: "add_f4_f4_f4_dd_x4"."""
    kinds = "_".join((function.result, *function.operands))
    how = f"x{form.lanes}" if form.lanes else f"{form.rank}d"
    return f"{function.name.replace('.', '_')}_{kinds}_{form.lies}_{how}{'_wide' if form.wide else ''}"


def lanes_of(function: Function) -> int:
    """Elements in an access of 16 bytes of the widest dtype; 8 bytes of single ones, since 16 fill the registers."""
    widths = {"b1": 1} | {name: int(name[-1]) for name in STORED if name != "b1"}
    return min(8, 16 // max(widths[name] for name in (function.result, *function.operands)))


def entry(function: Function, form: Form) -> Entry:
    """The kernel's name and its text."""
    name = kernel_name(function, form)
    return name, applied(name, function) + (_dense if form.lanes else _strided)(function, form)


def applied(name: str, function: Function) -> str:
    """The expression as a device function."""
    first = function.operands[-1]  # of where, the condition is no T
    types = {"T": COMPUTED[first], "U": UNSIGNED.get(first, COMPUTED[first]), "R": COMPUTED[function.result]}
    lines = "".join(f"  using {letter} = {ctype};\n" for letter, ctype in types.items())
    parameters = ", ".join(f"{COMPUTED[d]} {v}" for d, v in zip(function.operands, NAMES, strict=False))
    head = f"__device__ inline {COMPUTED[function.result]} apply_{name}({parameters})"
    return f"{head} {{\n{lines}  return {function.expression};\n}}\n"


def _parameters(function: Function, form: Form) -> str:
    found = ""
    for k, (lies, dtype) in enumerate(zip(form.lies, function.operands, strict=True)):
        if lies != "n":
            found += f", {STORED[dtype]} a{k}" if lies == "s" else f", const {STORED[dtype]} *a{k}"
    return found


def _once(function: Function, form: Form) -> str:
    """Operands that are one element for all are read once."""
    return "".join(
        f"  const {STORED[dtype]} u{k} = a{k}[0];\n"
        for k, (lies, dtype) in enumerate(zip(form.lies, function.operands, strict=True))
        if lies == "u"
    )


def _dense(function: Function, form: Form) -> str:
    packs, lane_operands, operands = "", [], []
    for k, (lies, dtype) in enumerate(zip(form.lies, function.operands, strict=True)):
        if lies == "d":
            pack = f"Pack<{STORED[dtype]}, {form.lanes}>"
            packs += f"    const {pack} p{k} = reinterpret_cast<const {pack} *>(a{k})[i];\n"
        one = {"d": f"a{k}[i]", "u": f"u{k}", "s": f"a{k}", "n": "i"}[lies]
        operands.append(one)
        lane_operands.append({"d": f"p{k}.at[k]", "n": f"i * {form.lanes} + k"}.get(lies, one))
    return template("elementwise.cu", "dense").substitute(
        name=kernel_name(function, form),
        out=STORED[function.result],
        parameters=_parameters(function, form),
        index="int64" if form.wide else "uint32",
        lanes=form.lanes,
        once=_once(function, form),
        packs=packs,
        operands=", ".join(operands),
        lane_operands=", ".join(lane_operands),
    )


def strided_walk(form: Form, shape: Ints, strides: tuple[Ints, ...]) -> Walk:
    """The walk over result and strided operands, in this order."""
    return walk("axis", "i", shape, strides, form.wide, "    ")


def _strided(function: Function, form: Form) -> str:
    count = 1 + form.lies.count("v")
    text = strided_walk(form, (1,) * form.rank, ((0,) * form.rank,) * count)
    to, *offsets = text.offsets
    operands = []
    for k, lies in enumerate(form.lies):
        operands.append(f"a{k}[{offsets.pop(0)}]" if lies == "v" else {"u": f"u{k}", "s": f"a{k}", "n": "i"}[lies])
    return template("elementwise.cu", "strided").substitute(
        name=kernel_name(function, form),
        out=STORED[function.result],
        parameters=_parameters(function, form),
        index="int64" if form.wide else "uint32",
        extents=text.parameters,
        once=_once(function, form),
        coordinates=text.coordinates,
        to=to,
        operands=", ".join(operands),
    )
