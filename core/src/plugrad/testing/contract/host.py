"""The five members that a backend owes: values go in by value and come out as arrays that nobody writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...backend import BACKENDS, Backend, Kernel
from ...dtypes import CODE, DTYPES, GROUPS
from ...op import OPS
from ...ops.creation import asarray
from .subject import Subject, compare

LARGE = 200_000
"""Elements of an array whose copy takes long enough to be overtaken by a write."""


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """In the order in which one writes the members."""
    return [
        ("host.from_host_copies", from_host_copies),
        ("host.round_trip", round_trip),
        ("host.to_host_is_not_written", to_host_is_not_written),
        ("host.spec", spec_of_values),
        ("host.dtypes", stored_dtypes),
        ("host.declarations", declarations),
        ("host.borrowed_memory", borrowed_memory),
        ("host.empty", empty_memory),
    ]


def _arrays(code: int) -> dict[str, np.ndarray]:
    """Arrays of every form that the core may hand over."""
    a = np.arange(24).reshape(2, 3, 4).astype(DTYPES[code])
    locked = a.copy()
    locked.flags.writeable = False
    return {
        "contiguous": a,
        "transposed": a.T,
        "sliced": a[:, 1:, ::2],
        "negative step": a[::-1],
        "broadcast": np.broadcast_to(a[0, 0], (2, 4)),
        "read-only": locked,
        "0-d": a[1, 1, 1].reshape(()),
        "zero-size": a[:0],
        "one axis": a.reshape(-1)[:5],
    }


def from_host_copies(device: str) -> None:
    """By value at return: a later write to the array does not show, also where the copy is only queued."""
    subject = Subject(device)
    for size in (1, 5, LARGE):
        a = np.ones(size, subject.usual)
        value = subject.backend.from_host(a, subject.ordinal)
        a[:] = 0
        got = subject.host(value)
        assert got.all(), f"from_host: {size} elements written after the call show in the value on {device}; copy them"


def round_trip(device: str) -> None:
    """Shapes, dtypes and elements survive, whatever the layout of the array."""
    subject = Subject(device)
    for code in sorted(subject.stored):
        for form, a in _arrays(code).items():
            value = subject.backend.from_host(a, subject.ordinal)
            compare(f"from_host and to_host: {form} {a.dtype.name} {a.shape} on {device}", subject.host(value), a)


def to_host_is_not_written(device: str) -> None:
    """The array of to_host is a copy or read-only: a write to it does not show in the value."""
    subject = Subject(device)
    for form, a in _arrays(CODE[subject.usual]).items():
        value = subject.backend.from_host(a, subject.ordinal)
        out = subject.backend.to_host(value)
        assert isinstance(out, np.ndarray), f"to_host: expected a numpy.ndarray on {device}, came {type(out).__name__}"
        if out.flags.writeable and out.size:
            out[...] = ~out if out.dtype == bool else out + 1
            compare(
                f"to_host: a {form} array that it returned was written, which shows in the value on {device}; return a "
                "copy or a read-only view",
                subject.host(value),
                a,
            )


def spec_of_values(device: str) -> None:
    """spec says the shape, a tuple of ints, and the dtype, a NumPy dtype object."""
    subject = Subject(device)
    for code in sorted(subject.stored):
        for form, a in _arrays(code).items():
            spec = subject.backend.spec(subject.backend.from_host(a, subject.ordinal))
            what = f"spec: of a {form} {a.dtype.name} {a.shape} on {device}"
            assert type(spec.shape) is tuple and isinstance(spec.dtype, np.dtype), f"{what}: expected Spec, came {spec}"
            assert tuple(spec) == (a.shape, a.dtype), f"{what}: came {spec.dtype} {spec.shape}"


def stored_dtypes(device: str) -> None:
    """Memory holds what the core itself needs: bool, int64, a floating dtype."""
    subject = Subject(device)
    lacking = [short for short in ("b1", "i8") if not subject.stores(short)]
    lacking += [] if subject.stored & GROUPS["float"] else ["f4"]
    assert not lacking, (
        f"dtypes: {subject.backend.name} stores {subject.backend.dtypes!r}; it needs {' '.join(lacking)} too, for "
        "comparisons, positions and derivatives"
    )


def declarations(device: str) -> None:
    """Names, dtypes and tables are of the declared kinds; devices() names this one; synchronize returns."""
    subject = Subject(device)
    backend = subject.backend
    assert isinstance(backend, Backend) and BACKENDS[subject.index] is backend
    known = tuple(backend.devices())
    assert subject.ordinal in known, f"devices: {device} is in use, but {backend.name} names only {known}"
    assert subject.stored, f"dtypes: {backend.name} stores none"
    for name, entry in backend.kernels.items():
        for kernel in entry if isinstance(entry, (list, tuple)) else [entry]:
            fn = kernel.fn if isinstance(kernel, Kernel) else kernel
            assert callable(fn), f"kernels: {name} of {backend.name} is a {type(fn).__name__}; give a function"
    for name, fn in backend.into.items():
        assert callable(fn), f"into: {name} of {backend.name} is a {type(fn).__name__}; give a function"
    subject.put(np.ones(3, subject.usual))
    subject.wait()


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
    """empty gives memory of the asked shape and dtype, or NotImplemented; `into` without kernels needs it."""
    subject = Subject(device)
    for code in sorted(subject.stored):
        for shape in ((2, 3), (), (0, 4)):
            value = subject.backend.empty(shape, DTYPES[code], subject.ordinal)
            if value is NotImplemented:
                derived = sorted(n for n in subject.backend.into if n in OPS and n not in subject.backend.kernels)
                assert not derived, f"empty: {subject.backend.name} has only `into` forms of {', '.join(derived)}"
                return
            spec = subject.backend.spec(value)
            wanted = f"asked for {DTYPES[code]} {shape} on {device}"
            assert tuple(spec) == (shape, DTYPES[code]), f"empty: {wanted}, came {spec}"
