"""Memory that a backend may offer beside values: borrowed from the host, and uninitialised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...dtypes import DTYPES
from ...op import OPS
from ...ops.creation import asarray
from .host import arrays
from .kernels import share
from .subject import Subject, compare


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """borrow, empty."""
    return [
        ("memory.borrow", borrow),
        ("memory.borrowed_memory", borrowed_memory),
        ("memory.empty", empty_memory),
    ]


def borrow(device: str) -> None:
    """borrow gives the elements, shape and dtype of an array of any layout, or NotImplemented."""
    subject = Subject(device)
    for code in sorted(subject.stored):
        for form, a in arrays(code).items():
            value = subject.backend.borrow(a, subject.ordinal)
            if value is not NotImplemented:
                what = f"borrow: {form} {a.dtype.name} {a.shape} on {device}"
                compare(what, subject.host(value), a)
                spec = subject.backend.spec(value)
                assert tuple(spec) == (a.shape, a.dtype), f"{what}: spec() says {spec.dtype} {spec.shape}"


def borrowed_memory(device: str) -> None:
    """An array that asarray may have borrowed is never written, and what was computed from it stays."""
    subject = Subject(device)
    a: Any = np.ones((3, 4), subject.usual)
    x = asarray(a, device=device)
    y = x[1:]
    x[0] = 0
    compare(f"asarray: the array, after a write to its tensor on {device}", a, np.ones((3, 4), a.dtype))
    compare(f"asarray: a view of the tensor, after that write on {device}", y.numpy(), np.ones((2, 4), a.dtype))


def empty_memory(device: str) -> None:
    """empty gives memory of the asked shape and dtype, of its own each time, or NotImplemented; `into` without kernels
    needs it.
    """
    subject = Subject(device)
    for code in sorted(subject.stored):
        for shape in ((2, 3), (), (0, 4)):
            value, second = [subject.backend.empty(shape, DTYPES[code], subject.ordinal) for _ in range(2)]
            if value is NotImplemented:
                derived = sorted(n for n in subject.backend.into if n in OPS and n not in subject.backend.kernels)
                assert not derived, f"empty: {subject.backend.name} has only `into` forms of {', '.join(derived)}"
                return
            spec = subject.backend.spec(value)
            wanted = f"asked for {DTYPES[code]} {shape} on {device}"
            assert tuple(spec) == (shape, DTYPES[code]), f"empty: {wanted}, came {spec}"
            assert not share(subject, value, second), f"empty: {wanted} twice, the two share memory"
