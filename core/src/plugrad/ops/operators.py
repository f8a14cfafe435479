"""Tensor's operators and elementwise methods, installed from the functions of their family."""

from __future__ import annotations

import sys
from typing import Any

from ..dispatch import overwrite, writable
from ..errors import ShapeError
from ..handle import known, serve_operators
from ..op import OPS, Op
from ..ownership import check_view_write
from ..tensor import Tensor, install
from . import elementwise as ew
from .contraction import matmul

_ARITHMETIC = {"add": ew.add, "sub": ew.subtract, "mul": ew.multiply, "truediv": ew.divide, "pow": ew.pow}
_WHOLE = {"floordiv": ew.floor_divide, "mod": ew.remainder}
_BITS = {"and": ew.bitwise_and, "or": ew.bitwise_or, "xor": ew.bitwise_xor}
_SHIFTS = {"lshift": ew.bitwise_left_shift, "rshift": ew.bitwise_right_shift}
_SHORT = {"truediv": "div", "floordiv": "floor_divide", "mod": "remainder"}
_SHORT |= {"and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor"}
_SHORT |= {"lshift": "shift_left", "rshift": "shift_right"}
"""The ops whose names differ from Python's."""


def _operator(function: Any) -> Any:
    def forward(self: Tensor, other: Any) -> Any:
        return function(self, other) if known(other) else NotImplemented

    return forward


def _reflected(function: Any) -> Any:
    def backward(self: Tensor, other: Any) -> Any:
        return function(other, self) if known(other) else NotImplemented

    return backward


def _augmented(op: Op) -> Any:
    def write(self: Tensor, other: Any) -> Any:
        if not known(other):
            return NotImplemented
        references = sys.getrefcount(self)
        check_view_write(self, references, assignment=False)
        return overwrite(op, self, (other,), {})

    return write


def _matmul_into(self: Tensor, other: Any) -> Any:
    """``self @= other``: the op has matrices only, the function rows and columns too."""
    if not known(other):
        return NotImplemented
    references = sys.getrefcount(self)
    check_view_write(self, references, assignment=False)
    new = matmul(self, other)
    if new.shape != self.shape:
        raise ShapeError(f"matmul: writing in place needs a result of shape {self.shape}, got {new.shape}")
    self.rebind(writable("matmul", new, self))
    return self


serve_operators(
    add=(OPS["add"], ew.add), sub=(OPS["sub"], ew.subtract), mul=(OPS["mul"], ew.multiply),
    truediv=(OPS["div"], ew.divide), eq=(OPS["equal"], ew.equal), ne=(None, ew.not_equal),
    lt=(OPS["less"], ew.less), le=(OPS["less_equal"], ew.less_equal), gt=(None, ew.greater),
    ge=(None, ew.greater_equal), neg=(OPS["neg"], ew.negative),
)  # fmt: skip
_BINARY = {"matmul": matmul, "pow": ew.pow, **_WHOLE, **_BITS, **_SHIFTS}
install(**{f"__{name}__": _operator(function) for name, function in _BINARY.items()})
install(**{f"__r{name}__": _reflected(function) for name, function in _BINARY.items()})
install(
    **{f"__i{name}__": _augmented(OPS[_SHORT.get(name, name)]) for name in (*_ARITHMETIC, *_WHOLE, *_BITS, *_SHIFTS)}
)
install(__imatmul__=_matmul_into)
install(__pos__=ew.positive, __abs__=ew.abs, __invert__=ew.bitwise_invert)
install(ew.exp, ew.log, ew.sqrt, ew.square, ew.sin, ew.cos, ew.tanh, ew.abs)
install(ew.clip, ew.astype, ew.conj, _cut=staticmethod(ew.stop_gradient))
install(real=property(ew.real), imag=property(ew.imag))
