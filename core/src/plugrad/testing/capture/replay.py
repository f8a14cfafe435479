"""Checks that make captured calls again: on a device, and on the reference, which must agree."""

from __future__ import annotations

import math
import os
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ...backend import BACKENDS
from ...dtypes import CODE, DTYPES
from ...errors import FallbackWarning
from ...op import OPS, Op
from ...ops.creation import asarray
from ...reference.backend import NumpyBackend
from ...tensor import tupled
from ..contract.samples import Sample, has_samples, samples
from ..contract.subject import Subject, called, compare, reference, setting
from ..contract.values import describe
from ..kit.check import Check, NotHere
from .elements import make
from .format import Call, Captured, Operand
from .legal import legal

LARGE = 20_000_000
"""Elements of the operands of one call, above which it is made only if memory allows."""
NEEDED = 48
"""Bytes an element: the operand, twice while it is drawn and once on the device, and results of the same size."""


def replay_checks(captured: Captured, device: str) -> list[Check]:
    """A check for each distinct call, called ``captured.nn.conv2d.float32.3``: operands of the recorded shapes and
    dtypes, random but the same in every run, give on the device what they give on the reference.

    A check raises ``NotHere`` where the device does not store a dtype, or memory does not suffice.

    >>> from plugrad.testing.capture import Recorder
    >>> import plugrad
    >>> with Recorder() as recorder:
    ...     y = plugrad.ones(3) + plugrad.ones(3)
    >>> [check.name for check in replay_checks(recorder.captured(), "numpy")]
    ['captured.add.float32.0', 'captured.full.float32.0']
    """
    numbers: Counter[str] = Counter()
    checks = []
    for call in captured.calls:
        dtype = _dtype(call)
        stem = f"captured.{call.op}.{dtype.name}"
        name = f"{stem}.{numbers[stem]}"
        numbers[stem] += 1
        run = partial(_replay, call, captured.script, name, device)
        checks.append(Check(name, "op", call.op, device, run, dtype.name))
    return checks


def _dtype(call: Call) -> np.dtype:
    """That of the key operand; of creation ops that of the result."""
    key = OPS[call.op].key
    return np.dtype(_NAMED[call.operands[key].dtype] if call.operands else call.attrs["dtype"])


_NAMED = {dtype.name: dtype for dtype in DTYPES}


def _replay(call: Call, script: str, name: str, device: str) -> None:
    with _quiet():
        try:
            _compare(call, script, name, Subject(device))
        except AssertionError as error:
            if isinstance(error.__cause__, MemoryError) and _elements(call) > LARGE:
                raise NotHere(f"{name}: no memory: {error.__cause__}") from error
            raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Under the default settings, without warnings of what the replayed numbers cannot help."""
    with setting("PLUGRAD_FALLBACK", None), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", FallbackWarning)
        yield


def _compare(call: Call, script: str, name: str, subject: Subject) -> None:
    op, code = OPS[call.op], CODE[_dtype(call)]
    _stored(subject, name, [_NAMED[x.dtype] for x in call.operands])
    with called(f"{name}: its shapes"):
        size = _elements(call)
    _fits(name, size)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    state = subject.state(op, code)
    accuracy = _accuracy(op, code, state)
    with called(f"{name}: its operands"):
        arrays = _arrays(call, rng)
    what = describe(op, subject.device, code, Sample(tuple(arrays), dict(call.attrs), accuracy), state)
    what = f"{what}, captured from {script}" if script else what
    with called(f"{what}: on the reference"):
        wanted = _reference(op, code, arrays, call.attrs)
    _stored(subject, name, [x.dtype for x in wanted])
    with called(what):
        found = tupled(Op.bind(op, tuple(map(subject.put, arrays)), _placed(call.attrs, arrays, subject.place)))
    for i, (got, expected) in enumerate(zip(found, wanted, strict=True)):
        compare(f"{what}, result {i}" if len(wanted) > 1 else what, subject.host(got.val), expected, accuracy)
    _with_scalar(subject, op, code, arrays, wanted[0], accuracy, f"{what}, the second operand a Python scalar")


def _with_scalar(
    subject: Subject, op: Op, code: int, arrays: list[np.ndarray], wanted: np.ndarray, accuracy: str | float, what: str
) -> None:
    """A kernel that takes Python scalars got them from the script, when nobody observed it."""
    best = subject.kernels(op, code)[:1]
    if best and best[0].scalars and op.elementwise and len(arrays) == 2 and not arrays[1].shape:
        with called(what):
            found = best[0].fn(subject.put(arrays[0]).val, arrays[1].item())
        if found is not NotImplemented:
            compare(what, subject.host(found), wanted, accuracy)


def _stored(subject: Subject, name: str, dtypes: list[np.dtype]) -> None:
    for dtype in dtypes:
        if CODE[dtype] not in subject.stored:
            raise NotHere(f"{name}: {subject.device} does not store {dtype.name}")


def _fits(name: str, size: int) -> None:
    """NotHere for a large call that would take more than half of the machine's memory."""
    if size > LARGE and size * NEEDED > _memory() / 2:
        need = f"{size} elements need about {size * NEEDED / 1e9:.1f} GB"
        raise NotHere(f"{name}: {need}, more than half of this machine's {_memory() / 1e9:.1f} GB")


def _elements(call: Call) -> int:
    """How many elements a call deals with, as far as its operands and an attribute tell."""
    return sum(map(math.prod, [*[x.shape for x in call.operands], call.attrs.get("shape", (0,))]))


def _memory() -> float:
    """Bytes of the machine's memory, as far as it says so."""
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:
        return float("inf")
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _arrays(call: Call, rng: np.random.Generator) -> list[np.ndarray]:
    """The operands; those that are results of an earlier call are made by that call, on the reference."""
    arrays = legal(call.op, [_made(x, rng) for x in call.operands], call.attrs, rng)
    if call.forward is not None:
        forward = call.forward
        given = [arrays[x] if isinstance(x, int) else _made(x, rng) for x in forward.operands]
        op = OPS[forward.op]
        results = _reference(op, CODE[given[op.key].dtype], given, forward.attrs)
        for i, result in forward.results.items():
            arrays[i] = results[result]
    return arrays


def _made(operand: Operand, rng: np.random.Generator) -> np.ndarray:
    return make(operand.shape, _NAMED[operand.dtype], operand.elements, rng)


def _placed(attrs: Mapping[str, Any], arrays: list[np.ndarray], place: Any) -> dict[str, Any]:
    return dict(attrs) if arrays else {**attrs, "device": place}


def _reference(op: Op, code: int, arrays: list[np.ndarray], attrs: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """What the reference's own kernel gives; of other ops the decomposition, which is their meaning."""
    if op.name in NumpyBackend.kernels:
        return reference(op, code, arrays, dict(attrs))
    tensors = [asarray(a, device="numpy", copy=True) for a in arrays]
    found = op.decompose(*tensors, **_placed(attrs, arrays, (0, "0")))
    return tuple([np.array(BACKENDS[0].to_host(t.val)) for t in tupled(found)])


def _accuracy(op: Op, code: int, state: str) -> str | float:
    """That of the contract's samples of a core op, of sums where it is composed; else that of derivatives."""
    if op.name not in NumpyBackend.kernels or not has_samples(op.name):
        return "derivative"
    accuracy = next(samples(op.name, code)).accuracy
    return "sum" if state == "composed" and accuracy in ("rounded", "function") else accuracy
