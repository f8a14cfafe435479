"""What a backend says it can do, cell by cell of the table of ops, and whether somebody looks at every cell.

There is one declaration, the table itself: what drives dispatch drives the marks of the kit, the coverage and the docs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ...backend import Kernel
from ...dtypes import CODE, DTYPES, SHORT
from ...op import OPS, Op
from ...program import FUSED
from .kernels import Call, kernel_calls
from .layouts import CONTIGUOUS
from .samples import has_samples, samples
from .subject import Subject
from .values import asked

STATES = ("native", "composed", "fallback", "unsupported")


class Cell(NamedTuple):
    """An op and a dtype (short name) of a backend. ``state``: one of ``STATES``; ``why``: in words, for people."""

    op: str
    dtype: str
    state: str
    why: str


def capabilities(device: str) -> list[Cell]:
    """Every cell, by op in alphabetical order and by dtype.

    >>> [cell.state for cell in capabilities("numpy") if cell[:2] == ("exp", "f4")]
    ['native']
    """
    subject = Subject(device)
    ops = sorted(asked(), key=lambda op: ("." in op.name, op.name))
    return [_cell(subject, op, code) for op in ops for code in range(len(DTYPES))]


def _cell(subject: Subject, op: Op, code: int) -> Cell:
    state = subject.state(op, code)
    why = {
        "native": ", ".join(kernel.provider for kernel in subject.kernels(op, code)),
        "composed": "of other ops",
        "fallback": "through the host, on the reference",
        "unsupported": "not defined for the dtype" if code not in op.codes else "the backend does not store the dtype",
    }[state]
    return Cell(op.name, SHORT[code], state, why)


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """Nothing that is advertised goes unlooked at."""
    return [
        ("capabilities.every_cell_is_sampled", every_cell_is_sampled),
        ("capabilities.every_kernel_is_called", every_kernel_is_called),
        ("capabilities.every_name_is_an_op", every_name_is_an_op),
    ]


def every_cell_is_sampled(device: str) -> None:
    """An op that a backend runs in a dtype, by a kernel or by others, has a call in that dtype: one whose operands the
    backend stores, if it has a kernel.
    """
    subject = Subject(device)
    bare: dict[str, list[str]] = {}
    for op in asked():
        for code in subject.codes(op):
            if subject.state(op, code) in ("native", "composed") and not _sampled(subject, op, code):
                bare.setdefault(op.name, []).append(SHORT[code])
    listed = "; ".join(f"{name} of {' '.join(words)}" for name, words in bare.items())
    assert not bare, f"advertised on {device}, but no sample asks for it: {listed}"


def _sampled(subject: Subject, op: Op, code: int) -> bool:
    if not has_samples(op.name):
        return False
    native = subject.state(op, code) == "native"
    return any(
        not native or all(CODE[x.dtype] in subject.stored for x in sample.operands) for sample in samples(op.name, code)
    )


def every_kernel_is_called(device: str) -> None:
    """A kernel takes at least one of the samples in each dtype that it is declared for."""
    subject = Subject(device)
    for op, code in subject.native():
        for kernel in subject.kernels(op, code) if has_samples(op.name) else ():
            declined = 0
            for declined, call in enumerate(_of_kernel(subject, op, code, kernel), 1):  # noqa: B007
                if call.run() is not NotImplemented:
                    break
            else:
                assert not declined, (
                    f"{op.name} of {DTYPES[code].name} on {device}: the kernel of {kernel.provider} declines all "
                    f"{declined} samples; leave the dtype out of its dtypes, or take the usual calls"
                )


def _of_kernel(subject: Subject, op: Op, code: int, kernel: Kernel) -> Iterator[Call]:
    for sample in samples(op.name, code):
        if CODE[sample.attrs.get("dtype", DTYPES[code])] in subject.stored:
            for call in kernel_calls(subject, op, code, sample, CONTIGUOUS):
                if call.kernel is kernel:
                    yield call


def every_name_is_an_op(device: str) -> None:
    """A kernel under a name of the core that no op has is never called. Other plugins' names have a dot."""
    backend = Subject(device).backend
    known = {*OPS, FUSED}
    odd = sorted(name for name in {*backend.kernels, *backend.into} if "." not in name and name not in known)
    assert not odd, f"{backend.name} has kernels for {', '.join(odd)}: the core has no such ops, nobody calls them"
