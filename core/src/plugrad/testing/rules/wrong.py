"""Wrong calls of an op: a named error before any kernel runs, or a right result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...dtypes import CODE, DTYPES, SHORT
from ...errors import DTypeError, PlugradError
from ...op import OPS, Op
from ...tensor import tupled
from ..contract.samples import arrays, of_op
from ..contract.subject import Subject, compare, reference
from ..kit.declare import OpSample
from .call import Call, calls

FEW = 4


def shapes(name: str, device: str) -> None:
    """An operand with an axis more or less, or of another size: an error of plugrad that names the op, before any
    kernel runs; or, if the op's rule takes it, what the reference gives.
    """
    subject, op = Subject(device), OPS[name]
    with subject.counting() as ran:
        for call in with_operands(op, subject):
            for place, other in _changed(call):
                operands = list(call.sample.operands)
                operands[place] = other
                _refused_or_right(call, operands, ran)


def with_operands(op: Op, subject: Subject, quick: bool = False) -> Iterator[Call]:
    """A few calls with operands, in one dtype."""
    for call in calls(op, subject, _word(op, subject), FEW):
        if call.sample.operands:
            yield call


def _refused_or_right(call: Call, operands: list[np.ndarray], ran: list[tuple[str, str]]) -> None:
    op, subject, attrs = call.op, call.subject, call.sample.attrs
    told = ", ".join(f"{x.dtype} {x.shape}" for x in operands)
    what = f"{op.name}({told}{_attrs(call)}) on {subject.device}"
    given = [subject.put(x) for x in operands]
    ran.clear()
    try:
        found: Any = op(*given, **attrs)
    except PlugradError as error:
        _named(what, op, error)
        assert not ran, f"{what}: the kernels of {_list(ran)} ran before the {type(error).__name__}"
        return
    except Exception as error:
        raise AssertionError(
            f"{what}: expected a result or an error of plugrad, came {type(error).__name__}: {error}; "
            "check the operands in the op's spec and raise ShapeError or ArgumentError"
        ) from error
    wanted = reference(op, call.code, operands, attrs, "sum")
    for got, expected in zip(tupled(found), wanted, strict=True):
        compare(what, subject.host(got.val), expected, "derivative")


def _changed(call: Call) -> Iterator[tuple[int, np.ndarray]]:
    """The operands with one of them changed."""
    for place, x in enumerate(call.sample.operands):
        yield place, np.array(x[None])
        if x.ndim:
            yield place, np.array(x.reshape(-1)[:1].reshape(())) if x.size else np.zeros((), x.dtype)
            yield place, np.concatenate([x, x, x][: 3 if x.shape[0] else 1], axis=0)
            yield place, np.concatenate([x, x], axis=-1)
            yield place, np.array(x[..., :0])
        if x.ndim > 1:
            yield place, np.array(x[0]) if x.shape[0] else np.zeros(x.shape[1:], x.dtype)


def _named(what: str, op: Op, error: Exception) -> None:
    own = op.name.rpartition(".")[2].removesuffix("_bwd")
    if own not in str(error):
        remedy = f"the spec of {op.name} must refuse the call and say so"
        raise AssertionError(f"{what}: the {type(error).__name__} does not name the op: {str(error)!r}; {remedy}")


def dtypes(name: str, device: str) -> None:
    """A dtype that the op is not defined for raises DTypeError that names op and dtype, before any kernel runs."""
    subject, op = Subject(device), OPS[name]
    call = next(with_operands(op, subject))
    with subject.counting() as ran:
        for code in sorted(subject.stored - op.codes):
            key = call.sample.operands[op.key].dtype
            operands = [np.zeros(x.shape, DTYPES[code]) if x.dtype == key else x for x in call.sample.operands]
            what, given = f"{name} of {DTYPES[code]} on {device}", [subject.put(x) for x in operands]
            ran.clear()
            try:
                op(*given, **call.sample.attrs)
            except DTypeError as error:
                _named(what, op, error)
                assert DTYPES[code].name in str(error), f"{what}: the error does not name the dtype: {str(error)!r}"
            except Exception as error:
                came = f"{type(error).__name__}: {error}"
                raise AssertionError(f"{what}: expected DTypeError, came {came}") from error
            else:
                raise AssertionError(f"{what}: expected DTypeError, came a result")
            assert not [one for one in ran if one[0] == name], f"{what}: the kernel ran before the error"


def declared(name: str, device: str) -> None:
    """The calls that a sample says are wrong raise the error that it says, which names the op, before any kernel."""
    subject, op = Subject(device), OPS[name]
    with subject.counting() as ran:
        for sample, given in refusable(op, subject):
            _refused(op, subject, sample, given, ran)


Refusable = tuple[OpSample, tuple[np.ndarray, ...]]


def refusable(op: Op, subject: Subject) -> list[Refusable]:
    """The calls that a sample says are wrong, with operands in a dtype of the op, where the device stores them."""
    dtype = DTYPES[SHORT.index(_word(op, subject))]
    every = [(sample, arrays(sample, dtype)) for sample in of_op(op.name) if sample.raises is not None]
    return [(sample, given) for sample, given in every if all(CODE[x.dtype] in subject.stored for x in given)]


def _refused(
    op: Op, subject: Subject, sample: OpSample, given: tuple[np.ndarray, ...], ran: list[tuple[str, str]]
) -> None:
    told = ", ".join(f"{x.dtype} {x.shape}" for x in given)
    what, expected = f"{op.name}({told}, {dict(sample.attrs)}) on {subject.device}", sample.raises or PlugradError
    tensors = [subject.put(x) for x in given]
    ran.clear()
    try:
        op(*tensors, **sample.attrs)
    except expected as error:
        _named(what, op, error)
    except Exception as error:
        came = f"{type(error).__name__}: {error}"
        raise AssertionError(f"{what}: expected {expected.__name__}, came {came}") from error
    else:
        raise AssertionError(f"{what}: expected {expected.__name__}, came a result")
    assert not ran, f"{what}: the kernels of {_list(ran)} ran before the {expected.__name__}"


def _word(op: Op, subject: Subject) -> str:
    legal = [SHORT[code] for code in subject.codes(op)]
    return next((one for one in ("f4", "f8", "i4", "b1") if one in legal), legal[0] if legal else "f4")


def _attrs(call: Call) -> str:
    return "".join(f", {name}={value!r}" for name, value in call.sample.attrs.items())


def _list(ran: list[tuple[str, str]]) -> str:
    return ", ".join(dict.fromkeys(name for name, _ in ran))
