"""Public functions of one elementwise call each. Compiled where there is a compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .declared import _OpBase
from .handle import bind1, bind2


def unary_function(op: _OpBase) -> Callable[..., Any]:
    """The function of an elementwise op of one operand."""

    def function(x: Any, /) -> Any:
        return bind1(op, x)

    return function


def binary_function(op: _OpBase) -> Callable[..., Any]:
    """The function of an elementwise op of two operands."""

    def function(x: Any, y: Any, /) -> Any:
        return bind2(op, x, y)

    return function
