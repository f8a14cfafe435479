"""Tensor's operators and elementwise methods, installed from the functions of their family."""

from __future__ import annotations

import sys
from typing import Any

from ..dispatch import overwrite
from ..op import Op
from ..ownership import check_view_write
from ..tensor import Tensor, install
from .elementwise import (
    ADD,
    DIV,
    FLOOR_DIVIDE,
    MUL,
    POW,
    REMAINDER,
    SUB,
    abs,
    add,
    astype,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    clip,
    conj,
    cos,
    divide,
    equal,
    exp,
    floor_divide,
    greater,
    greater_equal,
    imag,
    less,
    less_equal,
    log,
    multiply,
    negative,
    not_equal,
    positive,
    pow,
    real,
    remainder,
    sin,
    sqrt,
    square,
    stop_gradient,
    subtract,
    tanh,
)

_BINARY = {
    "add": add,
    "sub": subtract,
    "mul": multiply,
    "truediv": divide,
    "floordiv": floor_divide,
    "mod": remainder,
    "pow": pow,
    "and": bitwise_and,
    "or": bitwise_or,
    "xor": bitwise_xor,
    "lshift": bitwise_left_shift,
    "rshift": bitwise_right_shift,
}
_IN_PLACE = {"add": ADD, "sub": SUB, "mul": MUL, "truediv": DIV, "floordiv": FLOOR_DIVIDE, "mod": REMAINDER, "pow": POW}


def _operator(function: Any) -> Any:
    def forward(self: Tensor, other: Any) -> Any:
        return function(self, other) if type(other) in _DIRECT or _known(other) else NotImplemented

    return forward


def _reflected(function: Any) -> Any:
    def backward(self: Tensor, other: Any) -> Any:
        return function(other, self) if type(other) in _DIRECT or _known(other) else NotImplemented

    return backward


_DIRECT = frozenset({Tensor, float, int, bool})


def _known(other: Any) -> bool:
    return isinstance(other, (Tensor, bool, int, float, complex)) or hasattr(other, "__array__")


def _augmented(op: Op) -> Any:
    def write(self: Tensor, other: Any) -> Any:
        if not _known(other):
            return NotImplemented
        references = sys.getrefcount(self)
        check_view_write(self, references, assignment=False)
        return overwrite(op, self, (other,), {})

    return write


def _operators() -> dict[str, Any]:
    methods: dict[str, Any] = {}
    for name, function in _BINARY.items():
        methods[f"__{name}__"] = _operator(function)
        methods[f"__r{name}__"] = _reflected(function)
    for name, op in _IN_PLACE.items():
        methods[f"__i{name}__"] = _augmented(op)
    for name, function in _COMPARISONS.items():
        methods[f"__{name}__"] = _operator(function)
    return methods


_COMPARISONS = {"eq": equal, "ne": not_equal, "lt": less, "le": less_equal, "gt": greater, "ge": greater_equal}
install(
    **_operators(),
    _cut=staticmethod(stop_gradient),
    __neg__=negative,
    __pos__=positive,
    __abs__=abs,
    __invert__=bitwise_invert,
    exp=exp,
    log=log,
    sqrt=sqrt,
    square=square,
    sin=sin,
    cos=cos,
    tanh=tanh,
    abs=abs,
    clip=clip,
    astype=astype,
    conj=conj,
    real=real,
    imag=imag,
)
