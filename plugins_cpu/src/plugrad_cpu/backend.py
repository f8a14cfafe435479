"""``CpuBackend``: this package's kernels under the names of the core's ops. Knows no tensor, tape or op object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from plugrad.backend import Backend, Kernel, Spec

from . import contraction, creation, elementwise, indexing, movement, norm, random, reduction, view
from .view import View

STORED = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f4 f8"
INTS = "i1 i2 i4 i8 u1 u2 u4 u8"
FLOATS = "f4 f8"
NUMBERS = f"{INTS} {FLOATS}"

# op name -> dtypes of its key operand; every one of these is also an in-place form
_UNARY: dict[str, str] = {
    **dict.fromkeys(("neg", "abs", "sign"), NUMBERS),
    "invert": f"b1 {INTS}",
    **dict.fromkeys(("sqrt", "floor", "exp", "log", "tanh", "expm1", "log1p", "sin", "cos", "erf"), FLOATS),
}
_BINARY: dict[str, str] = {
    **dict.fromkeys(("add", "mul", "maximum", "minimum"), STORED),
    **dict.fromkeys(("sub", "remainder", "floor_divide"), NUMBERS),
    **dict.fromkeys(("div", "pow"), FLOATS),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), f"b1 {INTS}"),
    **dict.fromkeys(("shift_left", "shift_right"), INTS),
}
_COMPARE = ("equal", "less", "less_equal")


def _kernels() -> dict[str, Kernel]:
    """The whole table."""
    table = {name: Kernel(getattr(elementwise, name), dtypes) for name, dtypes in _UNARY.items()}
    table |= {name: Kernel(getattr(elementwise, name), dtypes, scalars=True) for name, dtypes in _BINARY.items()}
    table |= {name: Kernel(getattr(elementwise, name), STORED, scalars=True) for name in _COMPARE}
    table |= {"where": Kernel(elementwise.where, STORED, scalars=True), "cast": Kernel(elementwise.cast, STORED)}
    folds = ("sum", "prod", "max", "min", "argmax", "argmin", "cumsum")
    table |= {name: Kernel(getattr(reduction, name), STORED) for name in folds}
    moves = ("copy", "reshape", "permute", "broadcast_to", "slice", "pad", "concat", "slice_update")
    table |= {name: Kernel(getattr(movement, name), STORED) for name in moves}
    table |= {name: Kernel(getattr(indexing, name), STORED) for name in ("gather", "take_along")}
    table |= {
        "scatter_add": Kernel(indexing.scatter_add, STORED),
        "matmul": Kernel(contraction.matmul, NUMBERS),
        "full": Kernel(creation.full, STORED),
        "iota": Kernel(creation.iota, NUMBERS),
        "random_bits": Kernel(random.random_bits, "u4"),
        "norm.layer_norm": Kernel(norm.layer_norm, FLOATS, when=_last_axis),
        "norm.layer_norm_bwd": Kernel(norm.layer_norm_bwd, FLOATS, when=_last_axis_bwd),
    }
    return table


def _into() -> dict[str, Callable[..., None]]:
    """The forms that write into given memory."""
    table = {name: getattr(elementwise, f"{name}_into") for name in (*_UNARY, *_BINARY, "where")}
    return table | {"slice_update": movement.slice_update_into, "scatter_add": indexing.scatter_add_into}


def _last_axis(x: Spec, w: Spec, b: Spec, **attrs: Any) -> bool | str:
    """The promise of the fused layer norm."""
    if not x.shape or x.shape[-1] == 0:
        return "norm.layer_norm: an empty last axis"
    fits = w.shape == x.shape[-1:] and b.shape == x.shape[-1:]
    return fits or "norm.layer_norm: weight and bias must have the shape of the last axis"


def _last_axis_bwd(g: Spec, x: Spec, w: Spec, *rest: Spec, **attrs: Any) -> bool | str:
    """The promise of its backward twin."""
    return _last_axis(x, w, w)


class CpuBackend(Backend):
    """Native kernels for the device ``cpu``. Values are ``view.View``; ``numpy.asarray(value)`` shares their memory."""

    name = "cpu"
    dtypes = STORED
    dimensions = 16
    kernels: Mapping[str, Callable[..., Any] | Kernel | Any] = _kernels()
    into: ClassVar[Mapping[str, Callable[..., Any]]] = _into()

    def from_host(self, array: np.ndarray, device: str) -> View:
        """A copy of the array."""
        return view.from_array(array)

    def to_host(self, value: View) -> np.ndarray:
        """A read-only array on the value's memory, or a copy where another view might still be written in place."""
        return np.array(value) if value.is_shared else np.asarray(value)

    def spec(self, value: View) -> Spec:
        """Shape and dtype."""
        return Spec(value.shape, value.dtype)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, device: str) -> View:
        """Uninitialised memory."""
        return view.empty(shape, dtype)

    def borrow(self, array: np.ndarray, device: str) -> Any:
        """A value on the array's own memory; not for foreign byte orders, unaligned data or more than 16 axes."""
        value = view.over_array(array)
        return NotImplemented if value is None else value

    def dlpack(self, value: View) -> np.ndarray:
        """A read-only array on the value's memory, which refers to the value."""
        return np.asarray(value)
