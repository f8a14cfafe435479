"""Writing: ``x[i] = v`` and ``x += y`` give the right values, never show elsewhere, and use the forms in `into`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from ...backend import BACKENDS
from ...dtypes import CODE
from ...op import OPS, Op
from ...ops.movement import copy, reshape
from ...transforms import grad
from .layouts import CONTIGUOUS, LAYOUTS, SLICED, TRANSPOSED, Layout, laid_out, operands
from .samples import Sample, has_samples, samples
from .subject import Subject, called, compare, promised, reference
from .values import describe

UPDATES = ("slice_update", "scatter_add", "scatter")


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """Values first, then who else may see a write."""
    return [
        ("inplace.values", written_values),
        ("inplace.into_values", into_values),
        ("inplace.into_is_used", into_is_used),
        ("inplace.views_and_copies_stay", views_and_copies_stay),
        ("inplace.exported_arrays_stay", exported_arrays_stay),
        ("inplace.recorded_values_stay", recorded_values_stay),
        ("inplace.rows_in_a_loop", rows_in_a_loop),
        ("inplace.dropped_inputs", dropped_inputs),
    ]


def _numbers(subject: Subject, *shape: int) -> np.ndarray:
    return np.arange(1, 1 + int(np.prod(shape))).reshape(shape).astype(subject.usual)


def written_values(device: str) -> None:
    """Assignments to rows, columns, steps, single elements and everything, and the augmented assignments."""
    subject = Subject(device)
    a = _numbers(subject, 4, 5)
    for index in (1, (slice(None), 2), (slice(None, None, 2), slice(1, 4)), (slice(None, None, -1), 0), (3, -1), ...):
        for value in (7, a[0, 0] * 2, np.full(a[index].shape, 9, a.dtype)):
            x, wanted = subject.put(a), a.copy()
            x[index] = value
            wanted[index] = value
            what = f"x[{index}] = {np.asarray(value).shape} value of {a.dtype} on {device}"
            compare(what, subject.host(x.val), wanted)
    three: Any = np.asarray(3, a.dtype)
    for other, b in ((subject.put(a), a), (3, three)):
        x = subject.put(a)
        x += other
        x *= other
        x -= other
        compare(f"x += y; x *= y; x -= y of {a.dtype} on {device}", subject.host(x.val), (a + b) * b - b)
    x = subject.put(a)
    x += x
    compare(f"x += x of {a.dtype} on {device}", subject.host(x.val), a + a)


def into_values(device: str) -> None:
    """K6: `into` writes what the kernel would return, to memory of its own or to an operand, and nothing else; where it
    declines, nothing.
    """
    subject = Subject(device)
    for name in subject.backend.into:
        op = OPS.get(name)
        if op is None or not has_samples(name) or subject.only not in ("", name):
            continue
        for code in subject.codes(op):
            for sample in samples(name, code) if subject.kernels(op, code) else ():
                for layout in LAYOUTS if sample.layouts else (CONTIGUOUS,):
                    _written(subject, op, code, sample, layout)


def _written(subject: Subject, op: Op, code: int, sample: Sample, layout: Layout) -> None:
    """One call of an `into` form for every place that ``out`` may be."""
    for out_layout in (CONTIGUOUS, TRANSPOSED, SLICED) if sample.layouts and layout is CONTIGUOUS else (CONTIGUOUS,):
        _write(subject, op, code, sample, layout, None, out_layout)
        for place in range(len(sample.operands)) if op.elementwise else (0,) if op.name in UPDATES else ():
            _write(subject, op, code, sample, layout, place, out_layout)


def _write(
    subject: Subject, op: Op, code: int, sample: Sample, layout: Layout, place: int | None, out_layout: Layout
) -> None:
    arrays, tensors = laid_out(subject, layout, sample.operands)
    values = [t.val for t in tensors]
    spec = promised(op, arrays, sample.attrs)[0]
    same: list[int] = []
    if place is not None:
        if (arrays[place].shape, arrays[place].dtype) != tuple(spec):
            return
        same = [k for k, a in enumerate(sample.operands) if a is sample.operands[place]]
    if place is None and out_layout is CONTIGUOUS:
        value = subject.backend.empty(spec.shape, spec.dtype, subject.ordinal)
        if value is NotImplemented:
            return
        before, target = subject.host(value), None
    else:
        before = arrays[place] if place is not None else np.ones(spec.shape, spec.dtype)
        target = operands(subject, out_layout, (before,))[0]
        value = target.tensor.val
    for k in same:
        values[k] = value
    where = "memory of its own" if place is None else " and ".join(f"operand {k}" for k in same)
    how = "" if out_layout is CONTIGUOUS else f" and {out_layout.name}"
    what = f"into: {describe(op, subject.device, code, sample, f'{layout.name}, out is {where}{how}')}"
    with called(what):
        answer = subject.backend.into[op.name](value, *values, **sample.attrs)
    assert answer is None or answer is NotImplemented, f"{what}: expected None, came a {type(answer).__name__}"
    if answer is None:
        compare(
            what, subject.host(value), reference(op, code, arrays, sample.attrs, sample.accuracy)[0], sample.accuracy
        )
    elif place is not None:
        compare(f"{what}: it declined, but out changed", subject.host(value), before)
    for i, (operand, array) in enumerate(zip(values, arrays, strict=True)):
        if i not in same:
            compare(f"{what}: operand {i} was written", subject.host(operand), array)
    if target is not None and target.root is not None and target.at:
        around, wanted = subject.host(target.root.val), np.array(target.whole)
        around[target.at] = wanted[target.at]
        compare(f"{what}: the memory around out was written", around, wanted)


@contextmanager
def _watched(subject: Subject) -> Iterator[list[str]]:
    """Within the block, a list of the ops whose `into` form was asked."""
    asked: list[str] = []
    backend = subject.backend

    def watch(name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        def call(out: Any, *values: Any, **attrs: Any) -> Any:
            asked.append(name)
            return fn(out, *values, **attrs)

        return call

    class Watched:
        """The backend, but for its `into`: the backend itself is left alone."""

        into: ClassVar[dict[str, Any]] = {name: watch(name, fn) for name, fn in backend.into.items()}

        def __getattr__(self, name: str) -> Any:
            return getattr(backend, name)

    stand_in: Any = Watched()
    BACKENDS[subject.index] = stand_in
    try:
        yield asked
    finally:
        BACKENDS[subject.index] = backend


def into_is_used(device: str) -> None:
    """Where the handle is the only one, the form in `into` is asked to write to its own memory, if there is one."""
    subject = Subject(device)
    a = _numbers(subject, 4, 5)
    with _watched(subject) as asked:
        x = subject.put(a)
        x[1:3] = 7
        y = subject.put(a)
        y += x
    wanted = a.copy()
    wanted[1:3] = 7
    compare(f"x[1:3] = 7 on {device}", subject.host(x.val), wanted)
    compare(f"y += x on {device}", subject.host(y.val), a + wanted)
    for name in ("slice_update", "add"):
        if name in subject.backend.into and CODE[a.dtype] in OPS[name].codes:
            what = f"into: {name} of {subject.backend.name}, {a.dtype} (4, 5)"
            assert name in asked, f"{what}: not asked, though the handle is the only one; someone holds the value"


def views_and_copies_stay(device: str) -> None:
    """A write to a tensor shows in no view, copy, detached handle or cast of it, nor the other way round."""
    subject = Subject(device)
    a = _numbers(subject, 4, 5)
    makers: dict[str, Callable[[Any], Any]] = {
        "x[1:]": lambda x: x[1:],
        "x.T": lambda x: x.T,
        "reshape": lambda x: reshape(x, (20,)),
        "x[0]": lambda x: x[0],
        "flip": lambda x: x[::-1],
        "detach": lambda x: x.detach(),
        "copy": copy,
        "astype to its own dtype": lambda x: x.astype(x.dtype),
        "x + 0": lambda x: x + np.zeros((), a.dtype),
        "x * 1": lambda x: x * np.ones((), a.dtype),
    }
    for name, make in makers.items():
        x = subject.put(a)
        other = make(x)
        kept = subject.host(other.val)
        x[...] = 0
        compare(f"{name}: after a write to x ({a.dtype}) on {device}", subject.host(other.val), kept)
        x = subject.put(a)
        other = make(x)
        held = x.detach()
        del x
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that views are values is what is asked here
            other += other
        compare(f"x: after a write to {name} of it ({a.dtype}) on {device}", subject.host(held.val), a)


def exported_arrays_stay(device: str) -> None:
    """What numpy() returned does not change when the tensor is written."""
    subject = Subject(device)
    a = _numbers(subject, 4, 5)
    for how in ("x[1] = v", "x += v"):
        x = subject.put(a)
        out = x.numpy()
        kept = out.copy()
        if how == "x += v":
            x += x.detach() * 2
        else:
            x[1] = 0
        x[0] = 0
        compare(f"numpy: the exported {a.dtype} array, after {how} on {device}", out, kept)


def recorded_values_stay(device: str) -> None:
    """A value that the tape holds survives a write to its tensor."""
    subject = Subject(device)
    for dtype in subject.floats():
        a = np.array([1.0, 2.0, 3.0]).astype(dtype)

        def f(z: Any) -> Any:
            z = z * 1.0
            q = z * z
            z[0] = 0.0
            z += z
            return (q + z).sum()

        found = grad(f)(subject.put(a)).numpy()
        wanted = (2 * a + [0, 2, 2]).astype(dtype)
        compare(f"the gradient of a tensor written after use, {dtype} on {device}", found, wanted)


def rows_in_a_loop(device: str) -> None:
    """Filling a tensor row by row, and its gradient."""
    subject = Subject(device)
    for dtype in subject.floats():
        w = np.array([1.0, -2.0, 0.5]).astype(dtype)

        def fill(w: Any) -> Any:
            z = w.zeros_like((6, 3))
            for i in range(6):
                z[i] = w * float(i)
            return (z * z).sum()

        found = grad(fill)(subject.put(w)).numpy()
        compare(f"the gradient of rows filled in a loop, {dtype} on {device}", found, w * 110, "sum")


def dropped_inputs(device: str) -> None:
    """K7: memory of a value that was dropped is not reused before the work on it is done."""
    subject = Subject(device)
    one = np.ones(5000, subject.usual)
    y = subject.put(one)
    for k in range(2, 12):
        y = y + subject.put(one * k)
    compare(f"10 sums whose inputs were dropped on {device}", subject.host(y.val), one * 66)
