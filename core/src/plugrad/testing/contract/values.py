"""Values: every op of the core on every dtype that the backend stores, in every layout, equals the reference's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...dtypes import CODE, DTYPES
from ...errors import suggest
from ...op import OPS, Op
from ...ops import random
from ...plugins import load_ops
from ...plugins.loader import registry
from ...tensor import Tensor
from ..kit.declared import declared
from .layouts import CONTIGUOUS, LAYOUTS, SLICED, TRANSPOSED, laid_out
from .samples import Sample, has_samples, samples
from .subject import Subject, called, compare, promised, reference

MANY = 10_000
"""Elements from which loops may be cut into blocks or run in threads: those calls are made on strided operands too."""
PHILOX = {(0, 0): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)}
"""The published answer of Philox4x32-10 for a key and counter of zeros."""


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """One check an op and dtype, and those of creation, moving and random bits.

    Movement comes first, which makes the layouts of all operands, and what is composed of other ops comes last.
    """
    ops = [op for op in asked() if has_samples(op.name)]
    ops.sort(key=lambda op: ("." in op.name, not op.alias and op.name != "copy", op.decompose is not None))
    cells = [(op.name, code) for op in ops for code in sorted(op.codes)]
    return [
        ("values.every_op_is_sampled", every_op_is_sampled),
        *[(f"values.{name}.{DTYPES[code].name}", partial(op_values, name, code)) for name, code in cells],
        ("values.to_device", moves_between_devices),
        ("values.random_known_answer", random_known_answer),
        ("values.random_numbers", random_numbers),
    ]


def asked() -> list[Op]:
    """The ops that run on a backend: the core's, those of the plugins that are installed, and others with samples."""
    load_ops()
    prefixes = tuple(f"{prefix}." for prefix in registry().select("ops"))
    stated = declared()
    known = [
        op for op in OPS.values() if "." not in op.name or op.name.startswith(prefixes) or ("op", op.name) in stated
    ]
    return [op for op in known if op.run is None and not op.opaque]


def every_op_is_sampled(device: str) -> None:
    """There are calls of every op, and of no op that does not exist."""
    without = [op.name for op in asked() if not has_samples(op.name)]
    ours, theirs = [[name for name in without if ("." in name) is dotted] for dotted in (False, True)]
    assert not ours, f"testing.contract.samples has no calls of {', '.join(ours)}"
    assert not theirs, (
        f"no samples of {', '.join(theirs)}: give an OpSample of each, from a function that plugrad_samples registers"
    )
    lost = [name for kind, name in declared() if kind == "op" and name not in OPS]
    assert not lost, f"samples of {', '.join(lost)}, which is no op{suggest(lost[0], OPS)}"


def op_values(name: str, code: int, device: str) -> None:
    """The op's results on all samples and layouts of one dtype."""
    subject, op = Subject(device), OPS[name]
    if code not in subject.stored:
        return
    state = subject.state(op, code)
    layouts = LAYOUTS if state == "native" else (CONTIGUOUS, SLICED) if state == "composed" else (CONTIGUOUS,)
    large = (CONTIGUOUS, TRANSPOSED, SLICED) if state == "native" else (CONTIGUOUS,)
    for sample in samples(name, code):
        if _stored(subject, op, sample):
            for layout in layouts if sample.layouts else large if _is_large(sample) else (CONTIGUOUS,):
                arrays, tensors = laid_out(subject, layout, sample.operands)
                what = describe(op, device, code, sample, f"{layout.name}, {state}")
                if state == "composed" and sample.accuracy in ("rounded", "function"):
                    sample = sample._replace(accuracy="sum")  # exp(x) - 1 is less exact than expm1
                one_call(subject, op, code, arrays, tensors, sample, what)


def can_be_asked(name: str, code: int, subject: Subject) -> bool:
    """Whether the backend can hold operands and results of one of the samples."""
    return any(_stored(subject, OPS[name], sample) for sample in samples(name, code))


def _is_large(sample: Sample) -> bool:
    return max([a.size for a in sample.operands], default=0) >= MANY


def _stored(subject: Subject, op: Op, sample: Sample) -> bool:
    """Whether the backend can hold the operands and the results."""
    if any(CODE[x.dtype] not in subject.stored for x in sample.operands):
        return False
    attrs = sample.attrs if sample.operands else {**sample.attrs, "device": subject.place}
    return all(CODE[spec.dtype] in subject.stored for spec in promised(op, sample.operands, attrs))


def one_call(
    subject: Subject, op: Op, code: int, arrays: list[np.ndarray], tensors: list[Tensor], sample: Sample, what: str
) -> None:
    """One call of the op against the reference's kernel."""
    wanted = reference(op, code, arrays, sample.attrs, sample.accuracy)
    attrs = sample.attrs if arrays else {**sample.attrs, "device": subject.place}
    with called(what):
        found = op(*tensors, **attrs)
    for got, expected in zip(found if type(found) is tuple else (found,), wanted, strict=True):
        if (got.shape, got.dtype) != (expected.shape, expected.dtype):
            raise AssertionError(
                f"{what}: the op's rule says {got.dtype} {got.shape}, the reference {expected.dtype} {expected.shape}"
            )
        compare(what, subject.host(got.val), expected, sample.accuracy)


def describe(op: Op, device: str, code: int, sample: Sample, how: str) -> str:
    """A call in words: op, device, dtype, shapes, attributes, layout."""
    shapes = ", ".join(map(_operand, sample.operands))
    attrs = "".join(f", {k}={_text(v)}" for k, v in sample.attrs.items())
    return f"{op.name}({shapes}{attrs}) of {DTYPES[code].name} on {device} ({how})"


def _operand(array: np.ndarray) -> str:
    """Its shape; of a few positions the numbers too."""
    few = array.dtype == np.int64 and 0 < array.size <= 6
    return f"{array.shape} = {array.tolist()}" if few else str(array.shape)


def _text(value: Any) -> str:
    return value.name if isinstance(value, np.dtype) else repr(value)


def moves_between_devices(device: str) -> None:
    """To the reference and back, for every dtype that is stored."""
    subject = Subject(device)
    for code in sorted(subject.stored):
        array = np.arange(6).reshape(2, 3).astype(DTYPES[code])
        there = subject.put(array).to("numpy")
        compare(f"to_device: {DTYPES[code].name} from {device} to numpy", there.numpy(), array)
        back = there.to(device)
        assert back.device == subject.put(array).device, f"to_device: asked for {device}, came {back.device}"
        compare(f"to_device: {DTYPES[code].name} from numpy to {device}", back.numpy(), array)


def random_known_answer(device: str) -> None:
    """Bits equal the published ones of Philox4x32-10."""
    subject = Subject(device)
    subject.needs("u4")
    for words, wanted in PHILOX.items():
        got = random.bits(random.key(*words, device=device), (4,)).numpy()
        compare(f"random_bits of key {words} on {device}", got, np.array(wanted, np.uint32))


def random_numbers(device: str) -> None:
    """Uniforms and integers are the same as on the reference, normals nearly."""
    subject = Subject(device)
    subject.needs("u4", "u8", "i8", "f4")
    ours, theirs = random.key(3, 4, device=device), random.key(3, 4, device="numpy")
    for name, draw in (
        ("uniform", lambda k: random.uniform(k, (9,))),
        ("randint", lambda k: random.randint(k, (9,), high=100)),
        ("split", lambda k: random.split(k, 3)),
    ):
        compare(f"random.{name} on {device}", draw(ours).numpy(), draw(theirs).numpy())
    found, wanted = [random.normal(k, (9,)).numpy() for k in (ours, theirs)]
    compare(f"random.normal on {device}", found, wanted, "sum")
