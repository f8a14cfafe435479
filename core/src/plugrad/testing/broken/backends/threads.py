"""What several threads share and should not, and kernels that wait for one another."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from .base import K, fault, kernel

MANY = 1000
"""Elements from which a kernel uses the shared memory."""


def _shared_operand(name: str) -> dict[str, Any]:
    """The first operand passes through memory that all threads share."""
    memory: dict[Any, np.ndarray] = {}

    def fn(x: Any, *rest: Any, **attrs: Any) -> Any:
        if x.size < MANY:
            return K[name](x, *rest, **attrs)
        space = memory.setdefault((x.shape, x.dtype), np.empty(x.shape, x.dtype))
        space[...] = x
        time.sleep(2e-3)
        return K[name](space, *rest, **attrs)

    return kernel(name, fn)


def _shared_result(name: str) -> dict[str, Any]:
    """Large results are computed in memory that all threads share, and copied out of it."""
    memory: dict[Any, np.ndarray] = {}

    def fn(*xs: Any, **attrs: Any) -> Any:
        found = np.asarray(K[name](*xs, **attrs))
        if found.size < MANY:
            return found
        space = memory.setdefault((found.shape, found.dtype), np.empty_like(found))
        space[...] = found
        time.sleep(2e-3)
        return space.copy()

    return kernel(name, fn)


def _one_accumulator() -> dict[str, Any]:
    """Partial sums of all threads go to one place."""
    parts: list[Any] = []

    def total(x: Any, *, axis: Any, keepdims: bool) -> Any:
        if x.size < MANY or len(axis) != x.ndim or x.dtype.kind != "f":
            return K["sum"](x, axis=axis, keepdims=keepdims)
        parts.clear()
        for piece in np.array_split(x.reshape(-1), 4):
            parts.append(piece.sum(dtype="f8"))
            time.sleep(1e-3)
        return np.asarray(np.sum(parts)).astype(x.dtype).reshape((1,) * x.ndim if keepdims else ())

    return kernel("sum", total)


def _first_thread_only() -> dict[str, Any]:
    """What a kernel needs is set up in the thread that comes first."""
    local, ready = threading.local(), threading.Event()

    def sin(x: Any) -> Any:
        if not ready.is_set():
            ready.set()
            local.handle = True
        if not getattr(local, "handle", False):
            raise RuntimeError("no context is current in this thread")
        return K["sin"](x)

    return kernel("sin", sin)


def _mutual_waiting() -> dict[str, Any]:
    """A call waits until no other is inside, and is inside itself meanwhile."""
    inside, over, lock = [0], threading.Event(), threading.Lock()

    def exp(x: Any) -> Any:
        if x.size < MANY:
            return K["exp"](x)
        with lock:
            inside[0] += 1
        time.sleep(2e-3)
        if inside[0] > 1:
            over.wait()
        with lock:
            inside[0] -= 1
        return K["exp"](x)

    return kernel("exp", exp, close=lambda self: over.set())


FAULTS = (
    fault("exp_shared_scratch", "results of exp pass through memory that threads share", "threads.values",
          lambda: _shared_result("exp"), says=("exp of 20000", "thread")),
    fault("prod_shared_scratch", "operands of prod pass through memory that threads share", "threads.kernels",
          lambda: _shared_operand("prod")),
    fault("cumsum_shared_scratch", "operands of cumsum pass through memory that threads share", "threads.kernels",
          lambda: _shared_operand("cumsum")),
    fault("concat_shared_scratch", "operands of concat pass through memory that threads share", "threads.kernels",
          lambda: _shared_operand("concat")),
    fault("matmul_shared_scratch", "results of matmul pass through memory that threads share", "threads.kernels",
          lambda: _shared_result("matmul")),
    fault("sum_one_accumulator", "partial sums of all threads go to one list", "threads.values", _one_accumulator),
    fault("sin_first_thread", "sin works in the thread that called it first", "threads.kernels", _first_thread_only),
    fault("exp_waits", "calls of exp in two threads wait for each other", "threads.values", _mutual_waiting,
          limit=6.0, says=("has not ended",)),
)  # fmt: skip
