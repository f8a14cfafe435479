"""What goes wrong from the second call on: memory that is handed out again, plans and results that are remembered."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import numpy as np

from .base import K, fault, kernel


def _scratch(name: str, buffers: int = 1, **members: Any) -> dict[str, Any]:
    """The results of a shape take turns in so many buffers."""
    memory: dict[Any, Any] = {}

    def fn(*xs: Any, **attrs: Any) -> Any:
        found = np.asarray(K[name](*xs, **attrs))
        key = found.shape, found.dtype
        if key not in memory:
            memory[key] = itertools.cycle([np.empty_like(found) for _ in range(buffers)])
        space = next(memory[key])
        space[...] = found
        return space[...]

    return kernel(name, fn, **members)


def _one_of_zeros() -> dict[str, Any]:
    """Zeros of a shape and dtype are made once."""
    made: dict[Any, np.ndarray] = {}

    def full(*, shape: Any, dtype: Any, value: Any, device: str) -> Any:
        new = K["full"](shape=shape, dtype=dtype, value=value, device=device)
        return made.setdefault((shape, dtype), new) if value == 0 else new

    return kernel("full", full)


def _planned() -> dict[str, Any]:
    """What sum works out for a shape it keeps, without the axes."""
    plans: dict[Any, Any] = {}

    def total(x: Any, *, axis: Any, keepdims: bool) -> Any:
        key = x.shape, len(axis), keepdims
        return K["sum"](x, axis=plans.setdefault(key, axis), keepdims=keepdims)

    return kernel("sum", total)


def _compiled_once() -> dict[str, Any]:
    """The kernel for a shape is the one of the dtype that came first."""
    first: dict[Any, np.dtype] = {}

    def div(x: Any, y: Any) -> Any:
        as_first = first.setdefault((x.shape, y.shape), x.dtype)
        return K["div"](x.astype(as_first), y.astype(as_first)).astype(x.dtype)

    return kernel("div", div)


def _memoised() -> dict[str, Any]:
    """Results are remembered by where the operand is."""
    known: dict[Any, Any] = {}

    def tanh(x: Any) -> Any:
        key = x.__array_interface__["data"][0], x.shape, x.strides, x.dtype
        if key not in known:
            known[key] = K["tanh"](x)
        return known[key].copy()

    return kernel("tanh", tanh)


def _previous() -> dict[str, Any]:
    """Every second call on a shape gives what the one before gave."""
    last: dict[Any, Any] = {}

    def sub(x: Any, y: Any) -> Any:
        found = np.asarray(K["sub"](x, y))
        before = last.pop((found.shape, found.dtype), None)
        if before is None:
            last[found.shape, found.dtype] = found
            return found.copy()
        return before.copy()

    return kernel("sub", sub)


def _drifting() -> dict[str, Any]:
    """From the third call on operands of a shape, a little is added."""
    calls: defaultdict[Any, int] = defaultdict(int)

    def log(x: Any) -> Any:
        calls[x.shape, x.dtype] += 1
        found = K["log"](x)
        return (found + found.dtype.type(1e-3) * (calls[x.shape, x.dtype] > 2)).astype(x.dtype)

    return kernel("log", log)


def _stateful_bits() -> dict[str, Any]:
    """random_bits goes on where the last call with the key ended."""
    calls: defaultdict[Any, int] = defaultdict(int)

    def random_bits(key: Any, *, shape: Any) -> Any:
        name = key.tobytes(), shape
        calls[name] += 1
        found = K["random_bits"](key, shape=shape)
        return found if calls[name] == 1 else np.roll(found, 1)

    return kernel("random_bits", random_bits)


FAULTS = (
    fault("sqrt_one_buffer", "sqrt has one result's memory for all calls of a shape", "kernels.result_is_fresh",
          lambda: _scratch("sqrt")),
    fault("sqrt_one_buffer_without_into", "sqrt has one result's memory, and nothing can write",
          "kernels.result_is_fresh", lambda: _scratch("sqrt", into={})),
    fault("full_one_buffer", "full has one result's memory", "kernels.result_is_fresh", lambda: _scratch("full")),
    fault("zeros_made_once", "zeros of a shape are made once", "kernels.result_is_fresh", _one_of_zeros),
    fault("matmul_two_buffers", "results of matmul take turns in two buffers", "kernels.result_is_fresh",
          lambda: _scratch("matmul", 2)),
    fault("exp_three_buffers", "results of exp take turns in three buffers", "kernels.result_is_fresh",
          lambda: _scratch("exp", 3, into={})),
    fault("sum_planned_by_shape", "sum remembers the axes for a shape", "values.sum", _planned),
    fault("div_compiled_once", "div remembers the dtype for a shape", "values.div", _compiled_once),
    fault("tanh_memoised", "tanh remembers results by the operand's address", "kernels.operands_are_read_anew",
          _memoised),
    fault("sub_gives_previous", "every second call of sub gives the result before", "values.sub", _previous),
    fault("log_drifts", "log is wrong from the third call on a shape", "kernels.same_call_same_result", _drifting),
    fault("random_bits_go_on", "random_bits of the same key differ from call to call",
          "kernels.same_call_same_result", _stateful_bits),
)  # fmt: skip
