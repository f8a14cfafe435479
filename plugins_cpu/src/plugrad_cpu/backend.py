"""``CpuBackend``: this package's kernels under the names of the core's ops. Knows no tensor, tape or op object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from plugrad.backend import Backend, Kernel, Spec
from plugrad.program import Program

from . import cast, contraction, creation, elementwise, indexing, movement, norm, random, reduction, view
from . import program as programs
from .equations import rules
from .fused import REDUCTIONS, fused
from .view import View

INTS = "i1 i2 i4 i8 u1 u2 u4 u8"
FLOATS = "f4 f8"
NUMBERS = f"{INTS} {FLOATS}"
COMPUTED = f"b1 {NUMBERS}"
COMPLEX = "c8 c16"
STORED = f"{COMPUTED} {COMPLEX} f2 bf2 f1e4 f1e5"

# op name -> dtypes of its key operand; each also has an in-place form
_UNARY: dict[str, str] = {
    "sign": NUMBERS,
    **dict.fromkeys(("neg", "abs"), f"{NUMBERS} {COMPLEX}"),
    "invert": f"b1 {INTS}",
    "conj": COMPLEX,
    **dict.fromkeys(("floor", "expm1", "log1p", "erf"), FLOATS),
    **dict.fromkeys(("sqrt", "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh"), f"{FLOATS} {COMPLEX}"),
    **dict.fromkeys(("asin", "acos", "atan", "asinh", "acosh", "atanh"), f"{FLOATS} {COMPLEX}"),
}
_BINARY: dict[str, str] = {
    **dict.fromkeys(("add", "mul"), f"{COMPUTED} {COMPLEX}"),
    **dict.fromkeys(("maximum", "minimum"), COMPUTED),
    "sub": f"{NUMBERS} {COMPLEX}",
    "div": f"{FLOATS} {COMPLEX}",
    "pow": FLOATS,
    **dict.fromkeys(("remainder", "floor_divide"), NUMBERS),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), f"b1 {INTS}"),
    **dict.fromkeys(("shift_left", "shift_right"), INTS),
}
_COMPARE = {"equal": f"{COMPUTED} {COMPLEX}", "less": COMPUTED, "less_equal": COMPUTED}
_CHANGED = {"real": COMPLEX, "imag": COMPLEX, "signbit": f"{FLOATS} f2 bf2"}
_SCATTERED = {
    **dict.fromkeys(("scatter_add", "scatter_mul"), f"{COMPUTED} {COMPLEX}"),
    **dict.fromkeys(("scatter_min", "scatter_max"), COMPUTED),
}


def _kernels() -> dict[str, Kernel]:
    """The whole table."""
    table = {name: Kernel(getattr(elementwise, name), dtypes) for name, dtypes in _UNARY.items()}
    table |= {name: Kernel(getattr(elementwise, name), dtypes, scalars=True) for name, dtypes in _BINARY.items()}
    table |= {name: Kernel(getattr(elementwise, name), dtypes, scalars=True) for name, dtypes in _COMPARE.items()}
    table |= {name: Kernel(getattr(cast, name), dtypes) for name, dtypes in _CHANGED.items()}
    table |= {"where": Kernel(elementwise.where, STORED, scalars=True), "cast": Kernel(cast.cast, STORED)}
    folds = ("sum", "prod", "max", "min", "argmax", "argmin", "cumsum")
    table |= {name: Kernel(getattr(reduction, name), COMPUTED) for name in folds}
    moves = ("copy", "reshape", "permute", "broadcast_to", "slice", "pad", "concat", "slice_update")
    table |= {name: Kernel(getattr(movement, name), STORED) for name in moves}
    table |= {name: Kernel(getattr(indexing, name), STORED) for name in ("gather", "take_along", "scatter")}
    table |= {name: Kernel(getattr(indexing, name), dtypes) for name, dtypes in _SCATTERED.items()}
    table |= {
        "matmul": Kernel(contraction.matmul, NUMBERS),
        "full": Kernel(creation.full, STORED),
        "iota": Kernel(creation.iota, f"{NUMBERS} f2 bf2 c8 c16"),
        "random_bits": Kernel(random.random_bits, "u4"),
        "norm.layer_norm": Kernel(norm.layer_norm, FLOATS, when=_last_axis),
        "norm.layer_norm_bwd": Kernel(norm.layer_norm_bwd, FLOATS, when=_last_axis_bwd),
        "fused": Kernel(fused, STORED),
    }
    return table


def _into() -> dict[str, Callable[..., None]]:
    """The forms that write into given memory."""
    table = {name: getattr(elementwise, f"{name}_into") for name in (*_UNARY, *_BINARY, "where")}
    table |= {name: getattr(indexing, f"{name}_into") for name in ("scatter", *_SCATTERED)}
    return table | {"slice_update": movement.slice_update_into}


def _last_axis(x: Spec, w: Spec, b: Spec, **attrs: Any) -> bool | str:
    """The promise of the fused layer norm."""
    if not x.shape or x.shape[-1] == 0:
        return "norm.layer_norm: an empty last axis"
    fits = w.shape == x.shape[-1:] and b.shape == x.shape[-1:]
    return fits or "norm.layer_norm: weight and bias must have the shape of the last axis"


def _last_axis_bwd(g: Spec, x: Spec, w: Spec, *rest: Spec, **attrs: Any) -> bool | str:
    """The promise of its backward twin."""
    return _last_axis(x, w, w)


def _odd_bools(array: np.ndarray) -> bool:
    """Whether an array of bools holds other bytes than 0 and 1."""
    return array.dtype.kind == "b" and array.size > 0 and bool(array.view(np.uint8).max() > 1)


ELEMENTWISE = frozenset({*_UNARY, *_BINARY, *_COMPARE, *_CHANGED, "where", "cast"})
_RULES = rules(ELEMENTWISE)


class CpuBackend(Backend):
    """Native kernels for the device ``cpu``. Values are ``view.View``; ``numpy.asarray(value)`` shares their memory."""

    name = "cpu"
    dtypes = STORED
    dimensions = 32
    kernels: Mapping[str, Callable[..., Any] | Kernel | Any] = _kernels()
    into: ClassVar[Mapping[str, Callable[..., Any]]] = _into()
    fuses: ClassVar[frozenset[str]] = ELEMENTWISE | REDUCTIONS
    host_scalars = True

    def from_host(self, array: np.ndarray, device: str) -> View:
        """A copy of the array; bools whose bytes are not 0 or 1, which NumPy takes for true, become 1."""
        return view.from_array(array.view(np.uint8) != 0 if _odd_bools(array) else array)

    def to_host(self, value: View) -> np.ndarray:
        """A read-only array on the value's memory, or a copy where another view might still be written in place."""
        return np.array(value) if value.is_shared else np.asarray(value)

    def spec(self, value: View) -> Spec:
        """Shape and dtype."""
        return Spec(value.shape, value.dtype)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, device: str) -> View:
        """Uninitialised memory."""
        return view.empty(shape, dtype)

    def carve(self, block: View, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> View:
        """A C-contiguous value on a part of a block's memory."""
        return view.carve(block, offset, shape, dtype)

    def compile(self, program: Program, device: str) -> Callable[..., tuple[View, ...]]:
        """The program as C steps over one arena; see ``program``."""
        return programs.compile(program, _RULES, self.kernels)

    def borrow(self, array: np.ndarray, device: str) -> Any:
        """A value on the array's own memory; not for foreign byte orders, unaligned data, more than 32 axes,
        or bools whose bytes are not 0 or 1.
        """
        value = None if _odd_bools(array) else view.over_array(array)
        return NotImplemented if value is None else value

    def dlpack(self, value: View) -> np.ndarray:
        """A read-only array on the value's memory, which refers to the value."""
        return np.asarray(value)
