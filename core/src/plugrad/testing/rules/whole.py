"""What holds of any call: nothing is changed, nothing depends on the time, an op is one object."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...dtypes import CODE, DTYPES, SHORT
from ...op import OPS, Op
from ...tensor import tupled
from ...transforms import vjp
from ..contract.kernels import turned
from ..contract.samples import declared_calls, realised
from ..contract.subject import Subject, called, compare, kind_of, promised
from .call import Call, calls, smooth_in_one

FEW = 3
WORDS = ("f8", "f4", "f2", "i8", "b1", "c16", "u4")


def inputs_unchanged(name: str, device: str) -> None:
    """A call and its gradient write no operand."""
    subject, op = Subject(device), OPS[name]
    for call in of_each_kind(op, subject):
        given = call.tensors()
        with called(call.what):
            call.run(*given)
        for i, (x, array) in enumerate(zip(given, call.sample.operands, strict=True)):
            compare(f"{call.what}: operand {i} was written", subject.host(x.val), array)
    for call in smooth_in_one(op, subject, ("f8", "f4", "c16", "c8"), FEW):
        f, xs = call.function()
        y, pull = vjp(f, *xs)
        seeds = tuple([t.ones_like() for t in y])
        pull(seeds)
        for place, x in zip(call.floats, xs, strict=True):
            what = f"the gradient of {call.what}: operand {place} was written"
            compare(what, subject.host(x.val), call.sample.operands[place])
        for t in seeds:
            what = f"the gradient of {call.what}: the cotangent was written"
            compare(what, subject.host(t.val), np.ones(t.shape, t.dtype))


def of_each_kind(op: Op, subject: Subject, quick: bool = False) -> Iterator[Call]:
    """A few calls in a dtype of each kind and width; in the one that there is, where that is none of them."""
    legal = [SHORT[code] for code in subject.codes(op)]
    for word in [word for word in WORDS if word in legal] or legal[:1]:
        yield from calls(op, subject, word, FEW)


def repeatable(name: str, device: str) -> None:
    """The same call gives the same bits again, and a later call with other elements does not change what it gave. Where
    work is queued, sums may be added up in another order: the same numbers, as exact as derivatives.
    """
    subject, op = Subject(device), OPS[name]
    for call in of_each_kind(op, subject):
        first = tupled(call.run(*call.tensors()))
        kept = [subject.host(t.val) for t in first]
        again = [subject.host(t.val) for t in tupled(call.run(*call.tensors()))]
        for before, after in zip(kept, again, strict=True):
            compare(f"{call.what}: the same call again", after, before, "derivative")
            assert subject.backend.is_async or before.tobytes() == after.tobytes(), (
                f"{call.what}: the same call again gives other bits: {before.ravel()[:6]} and {after.ravel()[:6]}"
            )
        call.run(*[subject.put(turned(x) if kind_of(x.dtype) in "fc" else x) for x in call.sample.operands])
        for t, before in zip(first, kept, strict=True):
            compare(f"{call.what}: the result, after a call with other elements", subject.host(t.val), before)


def pickling(name: str, device: str) -> None:
    """An op is pickled by name: what comes back is the op itself."""
    op = OPS[name]
    assert pickle.loads(pickle.dumps(op)) is op, f"{name}: pickled and read again it is another object"


def as_implemented_elsewhere(name: str, device: str) -> None:
    """The op, in double precision on the reference, gives what the independent implementation of its sample gives."""
    subject, op = Subject("numpy"), OPS[name]
    wide = CODE[np.dtype("float64")] if CODE[np.dtype("float64")] in op.codes else min(op.codes)
    for sample in declared_calls(name, wide):
        if sample.reference is not None:
            given = realised(sample, DTYPES[wide])
            found = tupled(op(*[subject.put(x) for x in given.operands], **sample.attrs))
            exact = [x.astype("float64") if kind_of(x.dtype) in "fs" else x.copy() for x in given.operands]
            with called(f"the reference of a sample of {name}"):
                answer: Any = sample.reference(*exact, **sample.attrs)
            wanted = answer if isinstance(answer, tuple) else (answer,)
            shapes = ", ".join(str(x.shape) for x in given.operands)
            for i, (got, expected) in enumerate(zip(found, wanted, strict=True)):
                if expected is not None:
                    what = f"{name}({shapes}, {dict(sample.attrs)}), result {i}, beside the sample's own implementation"
                    compare(what, got.numpy(), np.asarray(expected).astype(got.dtype), given.accuracy)


def decomposition(name: str, device: str) -> None:
    """A kernel and the decomposition agree on one device."""
    op = OPS[name]
    for call in of_kernels(op, Subject(device)):
        specs = promised(op, call.sample.operands, call.sample.attrs)
        with called(f"the decomposition of {call.what}"):
            parts = tupled(op.decompose(*call.tensors(), **call.sample.attrs))
        for got, spec, part in zip(tupled(call.run(*call.tensors())), specs, parts, strict=True):
            what = f"{call.what}: the kernel, beside the decomposition"
            assert (part.shape, part.dtype) == tuple(spec), (
                f"{what}, which gives {part.dtype} {part.shape}; the rule says {spec.dtype} {spec.shape}"
            )
            units = call.sample.accuracy if isinstance(call.sample.accuracy, float) else "derivative"
            compare(what, got.numpy(), part.numpy(), units)


def of_kernels(op: Op, subject: Subject, quick: bool = False) -> Iterator[Call]:
    """Calls with operands that the backend has a kernel for."""
    for word in ("f8", "f4", "c16"):
        for call in calls(op, subject, word):
            if subject.kernels(op, call.code) and call.sample.operands:
                yield call
