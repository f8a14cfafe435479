"""A short run of every kernel of the backend: the contract's samples, and larger calls in which several blocks work."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

DTYPES = ("f4", "i4", "f2", "b1", "u4", "i8")
"""Which of an op's dtypes stand for all: the first ``EACH`` of these short names that its kernels take."""
EACH = 2


@dataclass(frozen=True)
class Call:
    """One call: what it is, how exact it must be (a key of the contract's tolerances), and the call itself."""

    name: str
    op: str
    accuracy: str
    run: Callable[[], Any]


def sampled(device: str) -> Iterator[Call]:
    """The contract's samples of every op that the backend has a kernel for: all ops in one dtype, then in another."""
    subjects = importlib.import_module("plugrad.testing.contract.subject")
    contract = importlib.import_module("plugrad.testing.contract.samples")
    dtypes = importlib.import_module("plugrad.dtypes")
    subject, chosen = subjects.Subject(device), {}
    for op, code in subject.native():
        if "." not in op.name and contract.has_samples(op.name):
            chosen.setdefault(op, []).append(code)
    order = {name: rank for rank, name in enumerate(DTYPES)}
    for codes in chosen.values():
        codes.sort(key=lambda code: order.get(dtypes.SHORT[code], len(order)))
    for turn in range(EACH):
        for op, code in ((op, codes[turn]) for op, codes in chosen.items() if turn < len(codes)):
            for number, sample in enumerate(contract.samples(op.name, code)):
                target = sample.attrs.get("dtype", dtypes.DTYPES[code])
                if dtypes.CODE[target] in subject.stored:
                    yield one(subject, op, sample, f"{op.name}.{dtypes.SHORT[code]}.{number}")


def one(subject: Any, op: Any, sample: Any, name: str) -> Call:
    """A sample as a call on the subject's device."""
    attrs = sample.attrs if sample.operands else {**sample.attrs, "device": subject.place}

    def run() -> Any:
        return op(*[subject.put(array) for array in sample.operands], **attrs)

    return Call(name, op.name, sample.accuracy, run)


def normal(*shape: int) -> np.ndarray:
    """float32 normals."""
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape, dtype=np.float32)


def larger(device: str) -> Iterator[Call]:
    """Calls of several blocks, with sizes that divide by nothing, permuted operands, and indices that collide."""
    pg = importlib.import_module("plugrad")

    def put(array: np.ndarray) -> Any:
        return pg.asarray(array, device=device)

    x, tall = normal(131, 257), normal(1037, 67)
    places = np.random.default_rng(1).integers(0, 131, 1500)
    whole = np.random.default_rng(2).integers(-4, 5, (1500, 67)).astype(np.float32)
    key = np.array([7, 9], np.uint32)
    calls: dict[tuple[str, str, str], Callable[[], Any]] = {
        ("add", "permuted", "rounded"): lambda: put(x).T + put(normal(257, 1)),
        ("mul", "million", "rounded"): lambda: put(normal(1024, 999)) * put(normal(999)),
        ("exp", "wide", "function"): lambda: pg.exp(put(x)),
        ("sum", "rows", "sum"): lambda: pg.sum(put(x), axis=1),
        ("sum", "columns", "sum"): lambda: pg.sum(put(tall), axis=0),
        ("sum", "all", "sum"): lambda: pg.sum(put(tall)),
        ("sum", "permuted", "sum"): lambda: pg.sum(put(x).T, axis=1),
        ("max", "rows", "exact"): lambda: pg.max(put(tall), axis=1),
        ("max", "all", "exact"): lambda: pg.max(put(tall)),
        ("argmax", "rows", "exact"): lambda: pg.argmax(put(x), axis=1),
        ("matmul", "odd", "sum"): lambda: put(x) @ put(normal(257, 131)),
        ("matmul", "permuted", "sum"): lambda: put(x).T @ put(normal(131, 70)),
        ("matmul", "batched", "sum"): lambda: put(normal(5, 33, 65)) @ put(normal(5, 65, 17)),
        ("gather", "rows", "exact"): lambda: pg.take(put(x), put(places), axis=0),
        ("scatter_add", "collisions", "sum"): lambda: pg.OPS["scatter_add"](
            put(np.zeros((131, 67), np.float32)), put(places), put(whole), axis=0
        ),
        ("concat", "three", "exact"): lambda: pg.concat([put(x), put(normal(131, 3)), put(x)], axis=1),
        ("random_bits", "many", "exact"): lambda: pg.OPS["random_bits"](put(key), shape=(5003,)),
        ("fused", "chain", "function"): lambda: pg.compile(lambda a, b: pg.tanh(a * b + a) * b)(
            put(x), put(x).T.copy().T
        ),
        ("fused", "rows", "sum"): lambda: pg.compile(lambda a: pg.sum(pg.exp(a) * a, axis=1))(put(tall)),
        ("fused", "columns", "sum"): lambda: pg.compile(lambda a: pg.sum(pg.exp(a) * a, axis=0))(put(tall)),
    }
    for (op, what, accuracy), run in calls.items():
        yield Call(f"{op}.large.{what}", op, accuracy, run)


def every_call(device: str) -> Iterator[Call]:
    """The larger calls, then the samples."""
    yield from larger(device)
    yield from sampled(device)


def uncalled(device: str, called: set[str]) -> list[str]:
    """Kernels of the backend that no call had."""
    subjects = importlib.import_module("plugrad.testing.contract.subject")
    return sorted(name for name in subjects.Subject(device).backend.kernels if name not in called)
