"""Memory: empty, borrow, what is handed to NumPy, and what is never let go."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....reference.backend import NumpyBackend
from .base import INTO, K, fault, kernel


def _one_memory() -> dict[str, Any]:
    pool: dict[Any, np.ndarray] = {}
    return {"empty": lambda self, shape, dtype, device: pool.setdefault((shape, dtype), np.empty(shape, dtype))[...]}


def _held_values() -> dict[str, Any]:
    held: list[np.ndarray] = []

    def from_host(self: Any, array: np.ndarray, device: str) -> np.ndarray:
        held.append(np.array(array))
        return held[-1]

    return {"from_host": from_host}


def _held_results() -> dict[str, Any]:
    held: list[np.ndarray] = []

    def mul(x: Any, y: Any) -> Any:
        held.append(K["mul"](x, y))
        return held[-1]

    return kernel("mul", mul)


def _held_operands() -> dict[str, Any]:
    held: dict[int, tuple[Any, Any]] = {}

    def matmul(a: Any, b: Any) -> Any:
        if id(b) not in held:
            held[id(b)] = b, np.array(b, order="F")
        return K["matmul"](a, b)

    return kernel("matmul", matmul)


def _uncounted_in(self: Any, array: np.ndarray, device: str) -> np.ndarray:
    return np.array(array, copy=True, order="C")[...]


def _uncounted_out(self: Any, value: Any) -> np.ndarray:
    view = np.asarray(value)[...]
    view.flags.writeable = False
    return view


def _update_in_place(x: Any, v: Any, *, start: Any, size: Any, step: Any) -> Any:
    INTO["slice_update"](x, x, v, start=start, size=size, step=step)
    return x


def _lent_as_stored(self: Any, v: Any) -> np.ndarray:
    return np.asarray(v).ravel(order="K").reshape(v.shape)


FAULTS = (
    fault("empty_dtype", "empty gives another dtype", "memory.empty",
          {"empty": lambda self, shape, dtype, device: np.empty(shape, "f2")}, says=("asked for",)),
    fault("empty_one_memory", "empty gives the same memory for the same shape", "memory.empty", _one_memory),
    fault("empty_one_axis", "empty of a 0-d shape has one axis", "memory.empty",
          {"empty": lambda self, shape, dtype, device: np.empty(shape or (1,), dtype)}),
    fault("borrow_makes_an_axis", "a borrowed 0-d array has one axis", "memory.borrow",
          {"borrow": lambda self, a, device: np.atleast_1d(a)}),
    fault("borrow_reads_on", "borrow takes the memory as it lies", "memory.borrow",
          {"borrow": lambda self, a, device: a.ravel(order="K").reshape(a.shape)}),
    fault("borrowed_is_written", "slice_update writes its operand, which may be borrowed", "memory.borrowed_memory",
          kernel("slice_update", _update_in_place, into={}, borrow=NumpyBackend.borrow),
          says=("the array, after a write",)),
    fault("values_held", "every value is kept alive", "inplace.into_is_used", _held_values, says=("not asked",)),
    fault("results_held", "mul keeps its results alive", "memory.values_are_let_go", _held_results, says=("mul(",)),
    fault("operands_held", "matmul keeps its operands alive, for the next call", "memory.values_are_let_go",
          _held_operands, says=("matmul(",)),
    fault("exports_uncounted", "an exported array does not count as a holder of its memory",
          "inplace.exported_arrays_stay",
          {"from_host": _uncounted_in, "to_host": _uncounted_out}, says=("exported",)),
    fault("dlpack_reads_on", "dlpack lends the memory of a view as it lies", "memory.lent",
          {"dlpack": _lent_as_stored}),
    fault("dlpack_of_int32", "dlpack lends int32 as uint32", "memory.lent",
          {"dlpack": lambda self, v: v.view("u4") if v.dtype == "i4" else v}),
)  # fmt: skip
