"""Kernel text: reads the files of ``kernels/``, fills in their placeholders, writes index arithmetic. Knows no op."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Sequence
from string import Template
from typing import NamedTuple

import numpy as np

from plugrad.dtypes import CODE, SHORT

from .layout import Ints, reaches

STORED = {
    "b1": "uint8",
    "i1": "int8",
    "i2": "int16",
    "i4": "int",
    "i8": "int64",
    "u1": "uint8",
    "u2": "uint16",
    "u4": "uint32",
    "u8": "uint64",
    "f4": "float",
    "f8": "double",
}
"""The C type in memory, by short name of the dtype; bools are bytes of 0 and 1."""

COMPUTED = STORED | {"b1": "bool"}
"""The C type of a value in an expression."""

UNSIGNED = {"i1": "uint8", "i2": "uint16", "i4": "uint32", "i8": "uint64"}
"""The type in which a signed integer wraps around."""

Entry = tuple[str, str]
"""A kernel's name and its own text."""

LIMIT_32 = 1 << 31
BLOCK = 256
MOST_BLOCKS = 8192


def short(dtype: np.dtype) -> str:
    """The dtype's short name, "f4"."""
    return SHORT[CODE[dtype]]


@functools.cache
def read(file: str) -> str:
    """The text of a file of ``kernels/``."""
    return (importlib.resources.files(__package__) / "kernels" / file).read_text(encoding="utf-8")


@functools.cache
def template(file: str, part: str = "") -> Template:
    """A file's text, or what follows its line ``// @part NAME: ...`` up to the next such line."""
    text = read(file)
    if part:
        _, _, text = text.partition(f"// @part {part}:")
        text = "// " + text.partition("// @part ")[0].strip() + "\n"
    return Template(text)


def program(entries: Sequence[Entry]) -> str:
    """One text of several kernels: what all share, then each. A kernel more costs the compiler 10 ms, a text 90."""
    return "\n".join([read("common.cuh"), read("arithmetic.cuh"), *[text for _, text in entries]])


def blocks(n: int, each: int = 1) -> int:
    """The size of a grid for ``n`` elements, ``each`` of them a thread; kernels walk over the rest in strides."""
    return min(max(-(-n // (BLOCK * each)), 1), MOST_BLOCKS)


def integers(*values: int) -> tuple[np.int64, ...]:
    """Launch arguments for parameters of type int64."""
    return tuple(map(np.int64, values))


class Walk(NamedTuple):
    """C text that turns a position of a walk over several operands into offsets, and the launch's arguments for it."""

    parameters: str
    coordinates: str
    offsets: tuple[str, ...]
    arguments: tuple[np.generic, ...]


def walk(name: str, position: str, shape: Ints, strides: Sequence[Ints], wide: bool = True, indent: str = "") -> Walk:
    """The walk called ``name`` over ``shape`` with each operand's strides, in row-major order of ``position``.

    Sizes and strides are arguments, so that one text serves every layout of as many axes. ``wide``: in 64 bits.
    """
    index, offset = ("int64", "int64") if wide else ("uint32", "int")
    size_of, stride_of = (np.int64, np.int64) if wide else (np.uint32, np.int32)
    rank = len(shape)
    parameters = [f"{index} {name}_size{a}" for a in range(1, rank)]
    parameters += [f"{offset} {name}_stride{k}_{a}" for k in range(len(strides)) for a in range(rank)]
    lines, rest = [], position
    for a in reversed(range(1, rank)):
        lines.append(f"const {index} {name}{a} = {rest} % {name}_size{a};")
        lines.append(f"const {index} {name}_above{a} = {rest} / {name}_size{a};")
        rest = f"{name}_above{a}"
    lines.append(f"const {index} {name}0 = {rest};")
    terms = [
        " + ".join(f"{offset}({name}{a}) * {name}_stride{k}_{a}" for a in range(rank)) for k in range(len(strides))
    ]
    arguments = [size_of(n) for n in shape[1:]] + [stride_of(s) for each in strides for s in each]
    text = "\n".join(indent + line for line in lines)
    return Walk("".join(f", {p}" for p in parameters), text, tuple(terms), tuple(arguments))


def needs_64(n: int, shape: Ints, strides: Sequence[Ints]) -> bool:
    """Whether positions and offsets of a walk of ``n`` steps may leave 32 bits."""
    most = max((reaches(shape, s) for s in strides), default=0)
    return n + BLOCK * MOST_BLOCKS >= LIMIT_32 or most >= LIMIT_32
