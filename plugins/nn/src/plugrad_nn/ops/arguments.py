"""Canonical forms of what users write: pairs, paddings, layouts, reductions. Every message names the function that was
called.
"""

from __future__ import annotations

import operator
from typing import Any

from plugrad import Tensor, asarray
from plugrad.errors import DTypeError, ShapeError

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
LAYOUTS = ("NCHW", "NHWC")


def integer(name: str, what: str, value: Any, least: int) -> int:
    """An integer of at least ``least``."""
    try:
        found = operator.index(value)
    except TypeError:
        raise ShapeError(f"{name}: {what} is {value!r}; give an integer") from None
    if found < least:
        raise ShapeError(f"{name}: {what} is {found}; it must be at least {least}")
    return found


def pair(name: str, what: str, value: Any, least: int = 1) -> Pair:
    """One integer for both spatial axes, or one each.

    >>> pair("conv2d", "stride", 2), pair("conv2d", "stride", (1, 2))
    ((2, 2), (1, 2))
    """
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ShapeError(f"{name}: {what} is {value!r}; give one integer, or a pair for height and width")
        return integer(name, what, value[0], least), integer(name, what, value[1], least)
    both = integer(name, what, value, least)
    return both, both


def paddings(name: str, value: Any) -> Padding:
    """An integer, a pair (height, width), or ((top, bottom), (left, right))."""
    if isinstance(value, (tuple, list)) and any(isinstance(v, (tuple, list)) for v in value):
        if len(value) != 2:
            raise ShapeError(
                f"{name}: padding is {value!r}; give an integer, (height, width) or ((top, bottom), (left, right))"
            )
        return pair(name, "padding", value[0], 0), pair(name, "padding", value[1], 0)
    high, wide = pair(name, "padding", value, 0)
    return (high, high), (wide, wide)


def one_of(name: str, what: str, value: Any, known: tuple[str, ...]) -> str:
    """``value`` if it is one of the ``known`` words."""
    if value not in known:
        raise ValueError(f"{name}: {what} is {value!r}; use {' or '.join(map(repr, known))}")
    return str(value)


def floating(name: str, what: str, x: Any, like: Any = None) -> Tensor:
    """``x`` as a tensor of a floating dtype, beside ``like``; DTypeError for any other dtype."""
    t = x if isinstance(x, Tensor) else asarray(x, device=like.device if isinstance(like, Tensor) else None)
    if t.dtype.kind in "biuc":
        raise DTypeError(
            f"{name}: {what} is {t.dtype} of shape {t.shape}; cast it first, such as {what}.astype('float32')"
        )
    return t
