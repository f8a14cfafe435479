"""The rules that a kernel keeps (K1 to K8 of ``plugrad.backend``), asked of every kernel on every sample.

These call the kernels themselves, so that a fault is named where it is, and not where it shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ...backend import Kernel, Spec
from ...dtypes import CODE, DTYPES, KIND, scalar_fits
from ...op import OPS, Op
from .layouts import CONTIGUOUS, LAYOUTS, SLICED, Layout, Operand, operands
from .numbers import given
from .positions import OPS_AT_POSITIONS
from .samples import Sample, has_samples, samples
from .subject import Subject, called, compare, kind_of, promised, reference
from .values import describe

LATER = 4
"""Further calls, in any of which a kernel might give the first one's memory again."""
FEW = 100
"""Elements of the operands that are cheap to call a kernel with several times."""
SCALARS = (2, True, 0.5, -1.5, 40_000, 70_000, float("nan"), float("inf"), -float("inf"))


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """One check a rule."""
    return [
        ("kernels.result_is_as_promised", result_is_as_promised),
        ("kernels.operands_are_not_written", operands_are_not_written),
        ("kernels.result_is_fresh", result_is_fresh),
        ("kernels.same_call_same_result", same_call_same_result),
        ("kernels.operands_are_read_anew", operands_are_read_anew),
        ("kernels.every_layout_is_taken", every_layout_is_taken),
        ("kernels.decline_without_effect", decline_without_effect),
        ("kernels.when_keeps_its_promise", when_keeps_its_promise),
        ("kernels.scalars", scalars),
    ]


class Call(NamedTuple):
    """A kernel with operands for it."""

    op: Op
    code: int
    kernel: Kernel
    arrays: list[np.ndarray]
    values: list[Any]
    roots: list[Operand]
    attrs: dict[str, Any]
    what: str

    def run(self) -> Any:
        """What the kernel gives."""
        with called(self.what):
            return self.kernel.fn(*self.values, **self.attrs)


def calls(subject: Subject, layouts: tuple[Layout, ...] = (CONTIGUOUS,), with_when: bool = False) -> Iterator[Call]:
    """Every kernel of the backend on every sample of its op; only those with a `when` if ``with_when``."""
    for op, code in subject.native():
        if with_when and all(kernel.when is None for kernel in subject.kernels(op, code)):
            continue
        for sample in samples(op.name, code) if has_samples(op.name) else ():
            if CODE[sample.attrs.get("dtype", DTYPES[code])] in subject.stored:
                for layout in layouts if sample.layouts else layouts[:1]:
                    yield from kernel_calls(subject, op, code, sample, layout)


def kernel_calls(subject: Subject, op: Op, code: int, sample: Sample, layout: Layout) -> Iterator[Call]:
    """One sample, for every kernel of its op."""
    for kernel in subject.kernels(op, code):
        made = operands(subject, layout, sample.operands)
        arrays, values = [operand.array for operand in made], [operand.tensor.val for operand in made]
        attrs = sample.attrs if arrays else {**sample.attrs, "device": subject.ordinal}
        what = describe(op, subject.device, code, sample, f"kernel of {kernel.provider}, {layout.name}")
        yield Call(op, code, kernel, arrays, values, made, attrs, what)


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
    """K4: the operands hold after a call what they held before, and so does the memory around them."""
    subject = Subject(device)
    for call in calls(subject, LAYOUTS):
        call.run()
        _unwritten(subject, call, "was written by the kernel")


def _unwritten(subject: Subject, call: Call, fault: str) -> None:
    for i, (value, array) in enumerate(zip(call.values, call.arrays, strict=True)):
        compare(f"{call.what}: operand {i} {fault}", subject.host(value), array)
    for i, operand in enumerate(call.roots):
        if operand.root is not None and operand.whole is not None:
            what = f"{call.what}: the memory of which operand {i} is a view {fault}"
            compare(what, subject.host(operand.root.val), operand.whole)


def result_is_fresh(device: str) -> None:
    """K4: only movement ops may share memory with an operand, and no two results share any. Seen where to_host gives a
    view, by a second call, and by writing to the result, where `into` can.
    """
    subject = Subject(device)
    for call in calls(subject, LAYOUTS):
        found = NotImplemented if call.op.alias else call.run()
        if found is NotImplemented:
            continue
        first = _results(found)
        for i, value in itertools.product(range(len(call.values)), first):
            assert not share(subject, value, call.values[i]), f"{call.what}: operand {i} shares memory with the result"
        before = [subject.host(value) for value in first]
        second = _called_again(subject, call)
        for value, kept in zip(first, before, strict=True):
            what = f"{call.what}: the result, after another call of the kernel, which shares memory with it"
            compare(what, subject.host(value), kept)
        after = [subject.host(value) for value in second]
        for value in first:
            if _overwritten(subject, value):
                _unwritten(subject, call, "shares memory with the result, which was written")
                for later, kept in zip(second, after, strict=True):
                    what = f"{call.what}: the result of a second call shares memory with that of the first"
                    compare(what, subject.host(later), kept)


def _few(call: Call) -> bool:
    return sum(a.size for a in call.arrays) <= FEW


def _called_again(subject: Subject, call: Call) -> tuple[Any, ...]:
    """The results of further calls with other operands."""
    others, found = _others(subject, call), []
    for _ in range(LATER if _few(call) else 1):
        with called(f"{call.what}, other operands"):
            found.append(call.kernel.fn(*others, **call.attrs))
    return tuple([value for one in found if one is not NotImplemented for value in _results(one)])


def same_call_same_result(device: str) -> None:
    """Further calls with the same operands give the same: floats as exactly as derivatives, the rest to the bit."""
    subject = Subject(device)
    for call in calls(subject):
        first = call.run() if _few(call) else NotImplemented
        if first is NotImplemented:
            continue
        kept = [subject.host(value) for value in _results(first)]
        for number in range(2, LATER + 1):
            for value, wanted in zip(_results(call.run()), kept, strict=True):
                what = f"{call.what}: call {number} with the same operands"
                compare(what, subject.host(value), wanted, _accuracy(subject, value))


def operands_are_read_anew(device: str) -> None:
    """A call after the key operand was written, where `into` can, gives what a call on new memory gives."""
    subject = Subject(device)
    for call in calls(subject):
        first = call.run() if call.values and _few(call) else NotImplemented
        if first is NotImplemented or not _overwritten(subject, call.values[call.op.key]):
            continue
        again = call.run()
        changed = [subject.put(subject.host(value)).val for value in call.values]
        with called(f"{call.what}, other operands"):
            wanted = call.kernel.fn(*changed, **call.attrs)
        for value, expected in zip(_results(again), _results(wanted), strict=True):
            compare(
                f"{call.what}: a call after operand {call.op.key} was written",
                *(subject.host(value), subject.host(expected)),
                _accuracy(subject, expected),
            )


def _accuracy(subject: Subject, value: Any) -> str:
    """How well two calls of a kernel must agree."""
    return "derivative" if KIND[CODE[subject.backend.spec(value).dtype]] in "fsc" else "exact"


def share(subject: Subject, a: Any, b: Any) -> bool:
    """Whether two values are seen to share memory: they are one object, or to_host gives views of it."""
    if 0 in subject.backend.spec(a).shape or 0 in subject.backend.spec(b).shape:
        return False
    return a is b or bool(np.may_share_memory(subject.backend.to_host(a), subject.backend.to_host(b)))


def _others(subject: Subject, call: Call) -> list[Any]:
    """Operands of the same shapes with other elements; positions and amounts of shifts stay."""
    kept = call.op.name in OPS_AT_POSITIONS or call.op.name.startswith("shift")
    whole = "." in call.op.name  # classes, masks, keys: what else would be legal only its plugin knows
    stay = [(kept and i == 1) or (whole and kind_of(a.dtype) not in "fc") for i, a in enumerate(call.arrays)]
    changed = [a if fixed else turned(a) for a, fixed in zip(call.arrays, stay, strict=True)]
    return [subject.put(a).val for a in changed]


def turned(a: np.ndarray) -> np.ndarray:
    """The elements in reverse, or something else where that is the same."""
    reverse = np.array(np.flip(a))
    return reverse if not np.array_equal(reverse, a) else np.ones_like(a)


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
    return any(call.run() is not NotImplemented for call in kernel_calls(subject, op, code, sample, layout))


def decline_without_effect(device: str) -> None:
    """K5: NotImplemented comes before any effect."""
    subject = Subject(device)
    for call in calls(subject, (CONTIGUOUS, SLICED)):
        if call.run() is NotImplemented:
            _unwritten(subject, call, "was written by a kernel that declined")


def when_keeps_its_promise(device: str) -> None:
    """`when` says True exactly where the kernel does not decline."""
    subject = Subject(device)
    for call in calls(subject, (CONTIGUOUS, SLICED), with_when=True):
        if call.kernel.when is not None:
            with called(f"{call.what}: when"):
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
        for kernel in subject.kernels(op, code):
            if kernel.scalars and op.elementwise and has_samples(op.name):
                for scalar in SCALARS:
                    if scalar_fits(scalar, code) and _defined(op, code, scalar):
                        _one_scalar(subject, op, code, kernel, scalar)


def _defined(op: Op, code: int, scalar: Any) -> bool:
    """Whether the numbers are not left open: the scalar is one of the dtype, and neither shifts nor powers are odd."""
    if KIND[code] in "iu" and not isinstance(scalar, bool):
        info = np.iinfo(DTYPES[code])
        if not info.min <= scalar <= info.max:
            return False
    if op.name.startswith("shift"):
        return scalar is not True and scalar < 8
    odd = not np.isfinite(scalar) or (op.name == "pow" and (scalar < 0 or scalar > 1000))
    return not (odd and op.name in ("pow", "remainder", "floor_divide")) and not (odd and KIND[code] == "c")


def _one_scalar(subject: Subject, op: Op, code: int, kernel: Kernel, scalar: Any) -> None:
    x = next(s.operands[-2] for s in samples(op.name, code))
    second = given(scalar, DTYPES[code])
    operands = (x > 0, x) if op.key else (x,)
    wanted = reference(op, code, (*operands, second), {})[0]
    what = f"{op.name}({', '.join(str(a.shape) for a in operands)}, {scalar!r}) of {x.dtype} on {subject.device}"
    with called(f"{what} (a Python scalar)"):
        found = kernel.fn(*[subject.put(a).val for a in operands], scalar)
    if found is not NotImplemented:
        compare(f"{what} (a Python scalar)", subject.host(found), wanted, "function")
