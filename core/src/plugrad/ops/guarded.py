"""Functions kept from operands where they, or their derivatives, are not defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import DTypeError
from ..tensor import Tensor
from .elementwise import where

__all__ = ["safe_where"]


def safe_where(condition: Any, f: Callable[[Tensor], Tensor], x: Any, fill: Any = 1.0, otherwise: Any = 0.0) -> Tensor:
    """``f(x)`` where the bool condition holds, else ``otherwise``, with derivatives that are right and never NaN.

    ``where(condition, f(x), otherwise)`` has the right value, but its derivative multiplies the zero of the side that
    was not chosen by that of ``f``, which may be infinite. Here ``f`` never sees such an ``x``: it gets ``fill``
    there, a value at which it and its derivatives are finite. Condition, x, fill and f's result broadcast as in
    ``where``; the derivative is that of ``f`` where the condition holds, and that of ``otherwise`` elsewhere.

    >>> x = asarray([0.0, 4.0])
    >>> safe_where(x > 0, pg.sqrt, x).tolist()
    [0.0, 2.0]
    >>> pg.grad(lambda x: safe_where(x > 0, pg.sqrt, x).sum())(x).tolist()
    [0.0, 0.25]

    The length of vectors, which has no derivative at zero:

    >>> def length(v):
    ...     squares = (v * v).sum(axis=-1)
    ...     return safe_where(squares > 0, pg.sqrt, squares)
    >>> pg.grad(lambda v: length(v).sum())(asarray([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6..., 0.8...], [0.0, 0.0]]
    """
    if not callable(f):
        raise DTypeError(
            f"safe_where: f is a {type(f).__name__}; give the function, such as plugrad.log, not its value"
        )
    return where(condition, f(where(condition, x, fill)), otherwise)
