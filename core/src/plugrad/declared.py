"""What the fast roads and the walk read of an op: partial derivatives that have a name, and the base of ``Op``.

Compiled where there is a compiler, with ``declared.pxd`` giving the types.
"""

from __future__ import annotations

from typing import Any

from .dtypes import B1


def ONE(y: Any, *xs: Any) -> Any:
    """The partial derivative that is one everywhere."""
    return y.ones_like()


def FIRST(y: Any, *xs: Any) -> Any:
    """The partial derivative that is operand 0."""
    return xs[0]


def SECOND(y: Any, *xs: Any) -> Any:
    """The partial derivative that is operand 1."""
    return xs[1]


def RESULT(y: Any, *xs: Any) -> Any:
    """The partial derivative that is the result."""
    return y


PLAIN = (ONE, FIRST, SECOND, RESULT)
"""Partial derivatives that need no call; an op has their positions here."""


class _OpBase:
    """What the fast roads and the walk read of an op.

    ``result``: the dtype code of an op whose results are always bool, or -1. ``road``: whether a call that is to be
    recorded is (1), never is (0), or takes the general road (2). ``saved``: 1 and 2 for the values of the operands that
    the backward rule reads, and 4 for the result's. ``declared``: the ``partials`` for which ``partial_a`` and
    ``partial_b`` say which one of ``PLAIN`` they are, or -1.
    """

    __slots__ = (
        "chain", "declared", "partial_a", "partial_b", "partials", "result", "road", "saved", "scalars", "table",
    )  # fmt: skip
    partials: Any
    declared: Any
    result: int
    road: int
    saved: int
    partial_a: int
    partial_b: int

    def prepare(self, boolean: bool, road: int, saves: tuple[int, ...] | None, save_output: Any, partials: Any) -> None:
        """Say what follows from the op's declarations."""
        self.result, self.road = B1 if boolean else -1, road
        reads = (0, 1) if saves is None else saves
        self.saved = (0 in reads) + 2 * (1 in reads) + 4 * bool(save_output)
        self.declared = partials
        kinds = [PLAIN.index(p) if p in PLAIN else -1 for p in (*(partials or ()), None, None)]
        self.partial_a, self.partial_b = kinds[:2]
        self.table: list[list[Any]] = []
        self.chain: list[list[Any]] = []
        self.scalars: list[list[Any]] = []
