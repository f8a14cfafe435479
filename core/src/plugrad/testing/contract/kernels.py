"""The rules that a kernel keeps (K1 to K8 of ``plugrad.backend``), asked of every kernel on every sample.

These call the kernels themselves, so that a fault is named where it is, and not where it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ...backend import Kernel, Spec
from ...dtypes import CODE, DTYPES, KIND, scalar_fits
from ...op import OPS, Op
from .layouts import CONTIGUOUS, LAYOUTS, SLICED, Layout, laid_out
from .samples import Sample, has_samples, samples
from .subject import Subject, called, compare, promised, reference
from .values import describe

SCALARS = (2, True, 0.5, -1.5)


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """One check a rule."""
    return [
        ("kernels.result_is_as_promised", result_is_as_promised),
        ("kernels.operands_are_not_written", operands_are_not_written),
        ("kernels.result_is_fresh", result_is_fresh),
        ("kernels.every_layout_is_taken", every_layout_is_taken),
        ("kernels.decline_without_effect", decline_without_effect),
        ("kernels.when_keeps_its_promise", when_keeps_its_promise),
        ("kernels.scalars", scalars),
        ("kernels.bad_index", bad_index),
    ]


class Call(NamedTuple):
    """A kernel with operands for it."""

    op: Op
    code: int
    kernel: Kernel
    arrays: list[np.ndarray]
    values: list[Any]
    attrs: dict[str, Any]
    what: str

    def run(self) -> Any:
        """What the kernel gives."""
        with called(self.what):
            return self.kernel.fn(*self.values, **self.attrs)


def calls(subject: Subject, layouts: tuple[Layout, ...] = (CONTIGUOUS,)) -> Iterator[Call]:
    """Every kernel of the backend on every sample of its op."""
    for op, code in subject.native():
        for sample in samples(op.name, code) if has_samples(op.name) else ():
            if CODE[sample.attrs.get("dtype", DTYPES[code])] in subject.stored:
                for layout in layouts if sample.layouts else layouts[:1]:
                    yield from _calls(subject, op, code, sample, layout)


def _calls(subject: Subject, op: Op, code: int, sample: Sample, layout: Layout) -> Iterator[Call]:
    for kernel in subject.kernels(op, code):
        arrays, tensors = laid_out(subject, layout, sample.operands)
        attrs = sample.attrs if arrays else {**sample.attrs, "device": subject.ordinal}
        what = describe(op, subject.device, code, sample, f"kernel of {kernel.provider}, {layout.name}")
        yield Call(op, code, kernel, arrays, [t.val for t in tensors], attrs, what)


def _results(found: Any) -> tuple[Any, ...]:
    return found if type(found) is tuple else (found,)


def _promise(call: Call) -> tuple[Spec, ...]:
    return promised(call.op, call.arrays, call.attrs)


def result_is_as_promised(device: str) -> None:
    """K4: a result has exactly the shape and dtype of the op's rule, says spec(), and to_host() too."""
    subject = Subject(device)
    for call in calls(subject):
        found = call.run()
        if found is NotImplemented:
            continue
        for value, wanted in zip(_results(found), _promise(call), strict=True):
            spec, host = subject.backend.spec(value), subject.host(value)
            expected = f"expected {wanted.dtype} {wanted.shape}"
            assert tuple(spec) == tuple(wanted), f"{call.what}: {expected}, came {spec.dtype} {spec.shape}"
            assert (host.shape, host.dtype) == tuple(wanted), (
                f"{call.what}: {expected}, spec() says so too, but to_host() gives {host.dtype} {host.shape}"
            )


def operands_are_not_written(device: str) -> None:
    """K4: the operands hold after a call what they held before."""
    subject = Subject(device)
    for call in calls(subject, (CONTIGUOUS, SLICED)):
        call.run()
        _unwritten(subject, call, "was written by the kernel")


def _unwritten(subject: Subject, call: Call, fault: str) -> None:
    for i, (value, array) in enumerate(zip(call.values, call.arrays, strict=True)):
        compare(f"{call.what}: operand {i} {fault}", subject.host(value), array)


def result_is_fresh(device: str) -> None:
    """K4: only movement ops may share memory with an operand. Seen by writing to the result, where `into` can."""
    subject = Subject(device)
    for call in calls(subject):
        found = NotImplemented if call.op.alias else call.run()
        for value in () if found is NotImplemented else _results(found):
            if _overwritten(subject, value):
                _unwritten(subject, call, "shares memory with the result, which was written")


def _overwritten(subject: Subject, value: Any) -> bool:
    """Whether the backend could write other numbers into a value."""
    spec = subject.backend.spec(value)
    name = "bitwise_xor" if KIND[CODE[spec.dtype]] in "b" else "add"
    into = subject.backend.into.get(name)
    if into is None or 0 in spec.shape or CODE[spec.dtype] not in OPS[name].codes:
        return False
    if not subject.kernels(OPS[name], CODE[spec.dtype]):
        return False
    ones = subject.put(np.ones(spec.shape, spec.dtype)).val
    return into(value, value, ones) is None


def every_layout_is_taken(device: str) -> None:
    """K2: kernels that take a call take it in every layout; a picky one copies with its own `copy`."""
    subject = Subject(device)
    for op, code in subject.native():
        for sample in samples(op.name, code) if has_samples(op.name) else ():
            if not sample.layouts or CODE[sample.attrs.get("dtype", DTYPES[code])] not in subject.stored:
                continue
            plain = _taken(subject, op, code, sample, CONTIGUOUS)
            for layout in LAYOUTS[1:] if plain else ():
                assert _taken(subject, op, code, sample, layout), (
                    f"{describe(op, device, code, sample, layout.name)}: every kernel declines, but contiguous it is "
                    "taken; copy the operand instead"
                )


def _taken(subject: Subject, op: Op, code: int, sample: Sample, layout: Layout) -> bool:
    return any(call.run() is not NotImplemented for call in _calls(subject, op, code, sample, layout))


def decline_without_effect(device: str) -> None:
    """K5: NotImplemented comes before any effect."""
    subject = Subject(device)
    for call in calls(subject, (CONTIGUOUS, SLICED)):
        if call.run() is NotImplemented:
            _unwritten(subject, call, "was written by a kernel that declined")


def when_keeps_its_promise(device: str) -> None:
    """`when` says True exactly where the kernel does not decline."""
    subject = Subject(device)
    for call in calls(subject, (CONTIGUOUS, SLICED)):
        if call.kernel.when is not None:
            answer = call.kernel.when(*[Spec(a.shape, a.dtype) for a in call.arrays], **call.attrs)
            assert answer is True or (isinstance(answer, str) and answer), (
                f"{call.what}: when answers {answer!r}; it must be True or a reason"
            )
            took = call.run() is not NotImplemented
            assert took == (answer is True), f"{call.what}: when answers {answer!r}, the kernel {_did(took)}"


def _did(took: bool) -> str:
    return "takes the call" if took else "declines"


def scalars(device: str) -> None:
    """A kernel with scalars=True takes a Python number for the second operand, as if it were a 0-d value."""
    subject = Subject(device)
    for op, code in subject.native():
        kernel = subject.kernels(op, code)[0]
        for scalar in SCALARS if kernel.scalars and op.elementwise and has_samples(op.name) else ():
            if not scalar_fits(scalar, code) or (scalar < 0 and op.name == "pow") or _shifts(op, scalar):
                continue
            x = next(s.operands[-2] for s in samples(op.name, code))
            second = np.asarray(scalar, DTYPES[code])
            given = (x > 0, x) if op.key else (x,)
            wanted = reference(op, code, (*given, second), {})[0]
            found = kernel.fn(*[subject.put(a).val for a in given], scalar)
            if found is not NotImplemented:
                what = f"{op.name}({', '.join(str(a.shape) for a in given)}, {scalar!r}) of {x.dtype} on {device}"
                compare(f"{what} (a Python scalar)", subject.host(found), wanted, "function")


def _shifts(op: Op, scalar: Any) -> bool:
    return op.name.startswith("shift") and scalar is True


def bad_index(device: str) -> None:
    """K8: a position out of range raises IndexError, or a late error where work is queued; nothing is corrupted, and
    the device works on or says that it cannot.
    """
    subject = Subject(device)
    for name in ("gather", "scatter_add", "take_along"):
        op = OPS[name]
        code = next((c for c in subject.codes(op) if subject.kernels(op, c) and c in OPS["scatter_add"].codes), None)
        for position in (3, -4, 10**6) if code is not None else ():
            _refused(subject, op, code or 0, position)


def _refused(subject: Subject, op: Op, code: int, position: int) -> None:
    x = np.arange(12).reshape(3, 4).astype(DTYPES[code])
    at = np.array([[0, position, 1, 1]] if op.name == "take_along" else [0, position])
    operands = [x, at, x[:2]] if op.name == "scatter_add" else [x, at]
    tensors = [subject.put(a) for a in operands]
    what = f"{op.name}: position {position} along an axis of size 3, of {x.dtype} on {subject.device}"
    try:
        subject.host(op(*tensors, axis=0).val)
        subject.wait()
    except IndexError:
        late = False
    except RuntimeError as error:
        assert subject.backend.is_async, f"{what}: expected IndexError, came {type(error).__name__}: {error}"
        late = True
    else:
        raise AssertionError(f"{what}: expected IndexError{_or_late(subject)}, came a result")
    try:
        compare(f"{what}: operand 0, after the error", subject.host(tensors[0].val), x)
        compare(f"{what}: the next call", subject.host((subject.put(x) * 1).val), x)
    except RuntimeError as error:
        assert late, f"{what}: after an IndexError the device must go on, but came {type(error).__name__}: {error}"


def _or_late(subject: Subject) -> str:
    return " or a late DeviceError" if subject.backend.is_async else ""
