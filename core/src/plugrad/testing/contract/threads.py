"""Several Python threads use the backend at once, each with results of its own."""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ...dtypes import CODE, DTYPES
from ...op import Op
from ...ops import elementwise as ew
from ...ops.reduction import max, sum
from ...transforms import grad
from .samples import Sample, has_samples, samples
from .subject import Subject, called, compare, reference
from .values import describe

THREADS = 4
ROUNDS = 12
PATIENCE = 120.0
"""Seconds until threads that do not end count as hanging."""
SIZE = 20_000
MANY = 20_000
TURNS = 3
POSITIONS = ("gather", "take_along", "scatter_add", "scatter", "scatter_mul", "scatter_min", "scatter_max")


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """Values and gradients."""
    return [
        ("threads.values", values),
        ("threads.kernels", kernels),
        ("threads.gradients", gradients),
        ("threads.writes", writes),
    ]


def together(work: Callable[[int], None]) -> None:
    """``work(k)`` in every thread k at once; raises the first error of any."""
    errors: list[BaseException] = []
    gate = threading.Barrier(THREADS)

    def run(k: int) -> None:
        try:
            gate.wait(PATIENCE)
            work(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,), name=f"contract {k}", daemon=True) for k in range(THREADS)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(builtins.max(0.0, end - time.monotonic()))
    hanging = [thread.name for thread in threads if thread.is_alive()]
    assert not hanging, (
        f"threads: after {PATIENCE:g} s {', '.join(hanging)} have not ended; kernels wait for each other"
    )
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
                "sum of all": (sum(x), a.sum()),
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


def kernels(device: str) -> None:
    """Every kernel on operands of many elements, others in each thread."""
    subject = Subject(device)
    for op, code in subject.native():
        if not has_samples(op.name) or op.alias:
            continue
        large = [sample for sample in samples(op.name, code) if _elements(sample) >= MANY]
        for sample in large[:1] if code == subject.codes(op)[-1] or code == CODE[subject.usual] else ():
            if CODE[sample.attrs.get("dtype", DTYPES[code])] in subject.stored:
                _in_threads(subject, op, code, sample)


def _elements(sample: Sample) -> int:
    """The number of elements of the first operand, or of the result of a creation op."""
    if sample.operands:
        return builtins.max(a.size for a in sample.operands)
    return int(np.prod(sample.attrs.get("shape", sample.attrs.get("size", 0))))


def _in_threads(subject: Subject, op: Op, code: int, sample: Sample) -> None:
    """One call in all threads at once, each with the operands' elements moved on by another number."""
    moves = not (op.name in POSITIONS or op.name.startswith("shift"))
    given = [
        [np.roll(a, 7 * k) if moves or i == 0 else a for i, a in enumerate(sample.operands)] for k in range(THREADS)
    ]
    attrs = sample.attrs if sample.operands else {**sample.attrs, "device": subject.place}
    wanted = [reference(op, code, arrays, sample.attrs, sample.accuracy)[0] for arrays in given]

    def work(k: int) -> None:
        tensors = [subject.put(a) for a in given[k]]
        for _ in range(TURNS):
            what = describe(op, subject.device, code, sample, f"in thread {k}")
            with called(what):
                found = op(*tensors, **attrs)
            compare(what, subject.host(found.val), wanted[k], sample.accuracy)

    together(work)


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
