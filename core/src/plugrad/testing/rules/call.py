"""One call of an op in a form that the transformations take: a function of its floating operands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...dtypes import CODE, DTYPES, SHORT
from ...op import Op
from ...ops.creation import asarray
from ...ops.elementwise import abs as absolute
from ...ops.elementwise import conj
from ...tensor import Tensor, tupled
from ..contract.samples import declared_calls, plain, realised
from ..contract.samples.sample import Sample
from ..contract.subject import Subject, kind_of, promised
from ..contract.values import describe

SMALL = 200
"""Elements of all operands together up to which derivatives are compared with differences."""
HERMITIAN = ("cholesky", "eigh", "eigvalsh")
"""Ops whose operand has to stay Hermitian where it is moved."""
PHASES = ("eig", "eigh", "svd", "qr")
"""Ops whose vectors are determined up to a factor of modulus one: their absolute values are looked at."""


def _hermitian(x: Tensor) -> Tensor:
    return (x + conj(x).mT) * 0.5


@dataclass(frozen=True)
class Call:
    """A sample of an op on a device, with its operands as arrays."""

    op: Op
    sample: Sample
    subject: Subject

    @property
    def what(self) -> str:
        """The call in words."""
        return describe(self.op, self.subject.device, self.code, self.sample, "called as a function")

    @property
    def code(self) -> int:
        """The dtype code of the key operand."""
        if self.sample.operands:
            return CODE[self.sample.operands[self.op.key].dtype]
        return CODE[self.sample.attrs["dtype"]]

    @cached_property
    def floats(self) -> tuple[int, ...]:
        """The positions of the operands that can be differentiated."""
        return tuple([i for i, x in enumerate(self.sample.operands) if kind_of(x.dtype) in "fc"])

    def tensors(self, device: str | None = None) -> list[Tensor]:
        """The operands in memory of their own."""
        where = self.subject.device if device is None else device
        return [asarray(x, device=where, copy=True) for x in self.sample.operands]

    def attrs(self, device: str | None = None) -> dict[str, Any]:
        """The attributes, with the place for ops without operands."""
        if self.sample.operands:
            return self.sample.attrs
        return {**self.sample.attrs, "device": self.subject.place if device is None else Subject(device).place}

    def run(self, *given: Tensor) -> Any:
        """The op on tensors."""
        return self.op(*given, **self.attrs())

    def function(self, device: str | None = None) -> tuple[Any, tuple[Tensor, ...]]:
        """``f(*floating operands) -> floating results``, and its operands."""
        every = self.tensors(device)

        def f(*xs: Tensor) -> Any:
            given = list(every)
            for place, x in zip(self.floats, xs, strict=True):
                given[place] = _hermitian(x) if self.op.name in HERMITIAN else x
            found = tupled(self.op(*given, **self.sample.attrs))
            if self.op.name in PHASES:
                found = tuple([y if y.ndim < xs[0].ndim else absolute(y) for y in found])
            return tuple([y for y in found if kind_of(y.dtype) in "fc"])

        return f, tuple([every[i] for i in self.floats])

    @property
    def differentiable(self) -> bool:
        """Whether the op has derivatives, and some result and operand a floating dtype."""
        results = promised(self.op, self.sample.operands, self.attrs())
        return bool(self.op.differentiable and self.floats and any(kind_of(s.dtype) in "fc" for s in results))


def calls(op: Op, subject: Subject, dtype: str, most: int | None = None) -> Iterator[Call]:
    """The op's samples in a dtype (short name) that fit on the device; those of the core without the edges."""
    code = SHORT.index(dtype)
    if code not in op.codes or code not in subject.stored:
        return
    count = 0
    for sample in _given(op, code):
        found = Call(op, sample, subject)
        if count != most and _fits(found):
            count += 1
            yield found


def smooth(op: Op, subject: Subject, dtype: str, most: int | None = None) -> Iterator[Call]:
    """Those at which the derivatives exist, with few enough elements for differences, and all of them finite."""
    count = 0
    for found in calls(op, subject, dtype):
        operands = found.sample.operands
        finite = all(np.isfinite(x).all() for x in operands if kind_of(x.dtype) in "fc")
        few = 0 < sum(x.size for x in operands) <= SMALL
        if found.sample.smooth and finite and few and found.differentiable and count != most:
            count += 1
            yield found


def smooth_in_one(op: Op, subject: Subject, dtypes: Iterable[str], most: int) -> Iterator[Call]:
    """Those of the first of the dtypes that has some: an op of complex numbers has none in float64."""
    for dtype in dtypes:
        found = None
        for found in smooth(op, subject, dtype, most):
            yield found
        if found is not None:
            return


def _given(op: Op, code: int) -> Iterator[Sample]:
    yield from plain(op.name, code)
    for one in declared_calls(op.name, code):
        yield realised(one, DTYPES[code])


def _fits(call: Call) -> bool:
    stored = call.subject.stored
    results = promised(call.op, call.sample.operands, call.attrs())
    return all(CODE[x.dtype] in stored for x in call.sample.operands) and all(CODE[s.dtype] in stored for s in results)
