"""Several Python threads use the backend at once, each with results of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops import elementwise as ew
from ...ops.reduction import max, sum
from ...transforms import grad
from .subject import Subject, compare

THREADS = 4
ROUNDS = 12
SIZE = 20_000


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """Values and gradients."""
    return [("threads.values", values), ("threads.gradients", gradients), ("threads.writes", writes)]


def together(work: Callable[[int], None]) -> None:
    """``work(k)`` in every thread k at once; raises the first error of any."""
    errors: list[BaseException] = []
    gate = threading.Barrier(THREADS)

    def run(k: int) -> None:
        gate.wait()
        try:
            work(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,), name=f"contract {k}") for k in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _floats(subject: Subject) -> np.dtype | None:
    names = subject.floats()
    return np.dtype(names[0]) if names else None


def values(device: str) -> None:
    """Kernels of every family on large and small values; scratch memory that threads share would show."""
    subject = Subject(device)
    dtype = _floats(subject)

    def work(k: int) -> None:
        for turn in range(ROUNDS):
            n = SIZE if turn % 4 == 0 else 12 + k
            a = (np.arange(n) % 7 + k).astype(dtype)
            x, b = subject.put(a), a[:12]
            found: dict[str, tuple[Any, Any]] = {
                "add": (x + x, a + a),
                "exp": (ew.exp(x * 0.1), np.exp(a * a.dtype.type(0.1))),
                "less": (x < 4, a < 4),
                "sum": (sum(x.reshape((2, -1)), axis=1) if n % 2 == 0 else sum(x), _sums(a)),
                "max": (max(x), a.max()),
                "slice": (x[::-2], a[::-2]),
                "matmul": (x[:12].reshape((3, 4)) @ x[:12].reshape((4, 3)), b.reshape(3, 4) @ b.reshape(4, 3)),
            }
            for name, (got, wanted) in found.items():
                compare(f"{name} of {n} {dtype} in thread {k} on {device}", got.numpy(), np.asarray(wanted), "sum")

    if dtype is not None:
        together(work)


def _sums(a: np.ndarray) -> Any:
    return a.reshape(2, -1).sum(1) if a.size % 2 == 0 else a.sum()


def gradients(device: str) -> None:
    """The tape and the transformations, which are per thread."""
    subject = Subject(device)
    dtype = _floats(subject)

    def work(k: int) -> None:
        a = np.linspace(0.1, 1.0, 12).astype(dtype) + dtype.type(k)  # type: ignore[union-attr]
        for _ in range(ROUNDS):
            found = grad(lambda x: sum(ew.exp(x * 0.5) * x))(subject.put(a)).numpy()
            wanted = np.exp(a * dtype.type(0.5)) * (1 + a * dtype.type(0.5))  # type: ignore[union-attr]
            compare(f"the gradient of exp(x / 2) x in thread {k}, {dtype} on {device}", found, wanted, "derivative")

    if dtype is not None:
        together(work)


def writes(device: str) -> None:
    """Threads read one tensor while each writes its own copy of it."""
    subject = Subject(device)
    dtype = subject.usual
    a = np.arange(60).reshape(6, 10).astype(dtype)
    shared, zero = subject.put(a), subject.put(np.zeros((), a.dtype))

    def work(k: int) -> None:
        for turn in range(ROUNDS):
            mine = shared + zero
            mine[turn % 6] = k
            wanted = a.copy()
            wanted[turn % 6] = k
            compare(f"a write in thread {k}, {dtype} on {device}", mine.numpy(), wanted)
            compare(f"what thread {k} reads of a shared tensor, {dtype} on {device}", shared.numpy(), a)

    together(work)
