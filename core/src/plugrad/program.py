"""A staged graph as plain data: what ``compile`` hands to a backend, and what its passes rewrite.

Every value has a number; ``specs[i]`` is its shape and dtype. Equations stand in execution order, each value is given
once. Ops are named as in the kernel tables, their attributes are those that a kernel gets. Whatever changes between
runs is an input; literals and constants never change. Two names are not in the table of kernels:

``fused``
    A group that may run as one kernel. Its attribute ``body`` is a ``Body``: elementwise ops that all give values of
    one shape, the group's; operands broadcast to it. An op among those that the backend lists in ``fuses`` may stand
    before them (a contraction, which gives the group's shape) or behind them (reductions of values of that shape).
``alias``
    The operand itself, under another number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .backend import Spec

FUSED = "fused"
ALIAS = "alias"
Value = Any
Attrs = tuple[tuple[str, Any], ...]


class Lit(NamedTuple):
    """A number that is part of the program, as an operand of shape () and of this dtype."""

    value: bool | int | float | complex
    dtype: np.dtype


Operand = int | Lit


class Eqn(NamedTuple):
    """One call of an op. ``where`` is the line of the user's code that made it, "file.py:12", or "". Equal equations
    may be merged if their ``region`` is the same; what a checkpoint computes again is a region of its own.
    """

    op: str
    ins: tuple[Operand, ...]
    outs: tuple[int, ...]
    attrs: Attrs = ()
    where: str = ""
    region: int = 0

    @property
    def values(self) -> tuple[int, ...]:
        """The operands that are no literals."""
        return tuple([x for x in self.ins if type(x) is int])

    def attr(self, name: str) -> Any:
        """An attribute; KeyError if there is none of that name."""
        return dict(self.attrs)[name]


class Body(NamedTuple):
    """What a ``fused`` equation computes. Values 0 to ``operands - 1`` are its operands, the others its own results;
    ``outputs`` are those that leave it, in the order of the equation's ``outs``. ``shape`` is the group's shape.
    """

    operands: int
    specs: tuple[Spec, ...]
    eqns: tuple[Eqn, ...]
    outputs: tuple[int, ...]
    shape: tuple[int, ...]


class Place(NamedTuple):
    """Where a value lives.

    ========= ==========================================================================================
    input     the memory of input number ``at`` (its position in ``Program.inputs``)
    const     a constant's own memory
    arena     ``at`` bytes into the arena, C-contiguous
    output    fresh memory of its own, which leaves the program as output number ``at``
    donated   as output, in the memory of input number ``at``, which was given up for it
    view      a view of value number ``at``: made by a movement op or ``alias``; no memory of its own
    ========= ==========================================================================================
    """

    kind: str
    at: int


class Plan(NamedTuple):
    """A place for every value, and the bytes of the arena. Offsets are multiples of ``ALIGNMENT``."""

    places: tuple[Place, ...]
    size: int


ALIGNMENT = 64
"""Bytes."""


@dataclass(frozen=True)
class Program:
    """Equations between values of one device.

    ``donated`` pairs positions, (input, output): the program may write that output into the memory of that input,
    which nobody else looks at. ``plan`` is there once memory was planned. ``calls`` has one function an equation, the
    core's own way to run it on values: kernels in their order, then the decomposition. An executor uses it for what it
    does not do itself, and for the equations in ``foreign``, for which somebody else has a kernel that comes first.
    ``name`` is that of the compiled function, for people. ``host_inputs`` and ``host_outputs`` are positions whose
    values are the host's: NumPy arrays of shape (). Only backends that say ``host_scalars`` get such programs.
    """

    specs: tuple[Spec, ...]
    inputs: tuple[int, ...]
    consts: Mapping[int, Value]
    eqns: tuple[Eqn, ...]
    outputs: tuple[int, ...]
    donated: tuple[tuple[int, int], ...] = ()
    plan: Plan | None = None
    calls: tuple[Callable[..., Any], ...] = field(default=(), compare=False, repr=False)
    foreign: frozenset[int] = frozenset()
    name: str = field(default="", compare=False)
    host_inputs: frozenset[int] = frozenset()
    host_outputs: frozenset[int] = frozenset()

    def replace(self, **changes: Any) -> Program:
        """A copy with these fields changed."""
        return replace(self, **changes)

    def nbytes(self, value: int) -> int:
        """The bytes that a value takes without gaps."""
        return nbytes(self.specs[value])

    def uses(self) -> list[list[int]]:
        """For each value the equations that read it, in order; an output is read by equation ``len(eqns)``."""
        found: list[list[int]] = [[] for _ in self.specs]
        for i, eqn in enumerate(self.eqns):
            for v in dict.fromkeys(eqn.values):
                found[v].append(i)
        for v in dict.fromkeys(self.outputs):
            found[v].append(len(self.eqns))
        return found

    if TYPE_CHECKING:  # diagnostics installs it

        def text(self, places: bool = False) -> str: ...


def nbytes(spec: Spec) -> int:
    """The bytes of a value without gaps.

    >>> nbytes(Spec((3, 4), np.dtype("float32")))
    48
    """
    count = spec.dtype.itemsize
    for n in spec.shape:
        count *= n
    return count


def shown(spec: Spec) -> str:
    """Shape and dtype in few letters.

    >>> shown(Spec((3, 4), np.dtype("float32")))
    'float32[3,4]'
    """
    return f"{spec.dtype.name}[{','.join(map(str, spec.shape))}]"


def short(where: str) -> str:
    """A line of the user's code, its file relative to the working directory, or its last two names where it is not
    inside that.

    >>> short("somewhere/else/far/net.py:12")
    'far/net.py:12'
    """
    path, here = where.replace(os.sep, "/"), os.getcwd().replace(os.sep, "/").rstrip("/") + "/"
    return path.removeprefix(here) if path.startswith(here) else "/".join(path.split("/")[-2:])
