"""The five members that a backend owes: values go in by value and come out as arrays that nobody writes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np

from ...backend import BACKENDS, Backend, Kernel
from ...dtypes import DTYPES, GROUPS
from .numbers import SPECIAL, extremes, given
from .subject import Subject, called, compare, kind_of

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
        ("host.pickling", pickling),
    ]


def arrays(code: int) -> dict[str, np.ndarray]:
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
        "0-d": a[1, 1, 1:2].reshape(()),
        "zero-size": a[:0],
        "one axis": a.reshape(-1)[:5],
        "one element": a[:1, :1, :1],
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
    for code in sorted(subject.stored):
        for form, a in arrays(code).items():
            kept, memory = a.copy(), _memory(a)
            value = subject.backend.from_host(a, subject.ordinal)
            memory.flags.writeable = True
            memory[...] = np.ones_like(memory) - memory if memory.dtype != bool else ~memory
            what = f"from_host: a {form} {a.dtype.name} array was written after the call, which shows in the value"
            compare(f"{what} on {device}; copy its elements", subject.host(value), kept)


def _memory(a: np.ndarray) -> np.ndarray:
    """The array that owns the memory of this one."""
    return a if not isinstance(a.base, np.ndarray) else _memory(a.base)


def odd_elements(dtype: np.dtype) -> np.ndarray:
    """What a narrower memory would change: the ends of integers, fractions, NaN, infinity, zeros of both signs."""
    kind = kind_of(dtype)
    return extremes(dtype) if kind in "iu" else given((True, False) if kind == "b" else (*SPECIAL, 1 / 3, -1e-3), dtype)


def round_trip(device: str) -> None:
    """Shapes, dtypes and elements survive, whatever the layout of the array."""
    subject = Subject(device)
    for code in sorted(subject.stored):
        for form, a in arrays(code).items():
            value = subject.backend.from_host(a, subject.ordinal)
            compare(f"from_host and to_host: {form} {a.dtype.name} {a.shape} on {device}", subject.host(value), a)
        a = odd_elements(DTYPES[code])
        value = subject.backend.from_host(a, subject.ordinal)
        compare(f"from_host and to_host: {a.dtype.name} on {device}", subject.host(value), a, "signed")


def to_host_is_not_written(device: str) -> None:
    """The array of to_host is a copy or read-only: a write to it does not show in the value."""
    subject = Subject(device)
    for code in sorted(subject.stored):
        for form, a in arrays(code).items():
            value = subject.backend.from_host(a, subject.ordinal)
            out = subject.backend.to_host(value)
            what = f"to_host: expected a numpy.ndarray on {device}, came {type(out).__name__}"
            assert isinstance(out, np.ndarray), what
            if out.flags.writeable and out.size:
                out[...] = ~out if out.dtype == bool else np.ones_like(out) - out
                what = f"to_host: a {form} {a.dtype.name} array that it returned was written, which shows in the value"
                compare(f"{what} on {device}; return a copy or a read-only view", subject.host(value), a)


def spec_of_values(device: str) -> None:
    """spec says the shape, a tuple of ints, and the dtype, a NumPy dtype object."""
    subject = Subject(device)
    for code in sorted(subject.stored):
        for form, a in arrays(code).items():
            spec = subject.backend.spec(subject.backend.from_host(a, subject.ordinal))
            what = f"spec: of a {form} {a.dtype.name} {a.shape} on {device}"
            ints = type(spec.shape) is tuple and all(type(d) is int for d in spec.shape)
            assert ints and isinstance(spec.dtype, np.dtype), f"{what}: expected Spec, came {spec}"
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


def pickling(device: str) -> None:
    """A tensor that is pickled, or deeply copied, comes back on its device with its elements, in memory of its own."""
    subject = Subject(device)
    for code in sorted(subject.stored):
        a = np.arange(6).reshape(2, 3).astype(DTYPES[code])
        for how, again in (("pickle", lambda t: pickle.loads(pickle.dumps(t))), ("deepcopy", copy.deepcopy)):
            x = subject.put(a)
            what = f"{how} of a {a.dtype.name} (2, 3) tensor on {device}"
            with called(what):
                y = again(x)
            assert y.device == x.device, f"{what}: it comes back on {y.device}"
            compare(what, subject.host(y.val), a)
            y[0] = y[1]
            compare(f"{what}: the tensor, after a write to what came back", subject.host(x.val), a)
