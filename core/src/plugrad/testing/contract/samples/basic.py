"""Calls of the ops that compute elementwise, reduce, move, index, multiply matrices and create."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ....dtypes import DTYPES, U4
from ..numbers import BINARY, UNARY, Shape, numbers
from ..subject import kind_of, unit
from .sample import Sample, Sampler

SPECIAL_REDUCTIONS = ("sum", "prod", "max", "min", "argmax", "argmin")
PAIRS: tuple[tuple[Shape, Shape], ...] = (
    ((3, 4), (3, 4)), ((3, 1), (4,)), ((), ()), ((0, 4), (4,)), ((2, 3), ()), ((3, 4), (3, 1)), ((1, 4), (3, 1)),
)  # fmt: skip
SINGLES: tuple[Shape, ...] = ((3, 4), (), (0, 4))


def _unary(name: str, dtype: np.dtype) -> Iterator[Sample]:
    low, high, accuracy = UNARY[name]
    if accuracy == "exact" and kind_of(dtype) == "c":
        accuracy = "rounded"  # the absolute value of a complex number
    for shape in SINGLES:
        yield Sample((numbers(shape, dtype, low, high),), {}, accuracy, shape != (0, 4))


def _binary(name: str, dtype: np.dtype) -> Iterator[Sample]:
    low, high, low2, high2, accuracy = BINARY[name]
    if name == "pow" and kind_of(dtype) in "iu":
        low2, accuracy = 0, "exact"
    for one, two in PAIRS:
        operands = numbers(one, dtype, low, high), numbers(two, dtype, low2, high2, 1)
        yield Sample(operands, {}, accuracy, one == (3, 4) or two == (4,))


def _where(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for condition, one, two in (((3, 4), (3, 4), (3, 4)), ((3, 1), (4,), ()), ((), (2,), (2,)), ((0, 4), (4,), (1,))):
        chosen = np.random.default_rng(2).random(condition) < 0.5
        operands = np.asarray(chosen), numbers(one, dtype, -5, 5), numbers(two, dtype, -5, 5, 1)
        yield Sample(operands, {}, "exact", condition == (3, 4))


def _cast(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for target in DTYPES:
        low = 0 if kind_of(target) in "u" else -4
        for shape in ((3, 4), ()):
            wider = kind_of(target) in "fc" and unit(target) <= unit(dtype)
            yield Sample((numbers(shape, dtype, low, 4),), {"dtype": target}, "exact", shape == (3, 4), wider)


def _bitcast(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for target in DTYPES[1:]:
        if target.itemsize == dtype.itemsize:
            for shape in ((3, 4), (), (0, 2)):
                yield Sample((numbers(shape, dtype, 0, 4),), {"dtype": target}, "exact", shape == (3, 4), False)


def _reduction(name: str, dtype: np.dtype) -> Iterator[Sample]:
    accuracy = "sum" if name in ("sum", "prod") else "exact"
    cases: list[tuple[Shape, tuple[int, ...]]] = [
        ((2, 3, 4), (0,)), ((2, 3, 4), (1,)), ((2, 3, 4), (2,)), ((2, 3, 4), (0, 2)), ((2, 3, 4), (0, 1, 2)), ((), ()),
        ((3, 4), ()), ((0, 3), (1,)), ((40, 70), (0,)), ((40, 70), (1,)),
        ((3, 1, 4), (1,)), ((1, 5), (0, 1)),
    ]  # fmt: skip
    if name in ("sum", "prod"):
        cases += [((0, 3), (0,)), ((3, 0), (0, 1))]
    for (shape, axis), keepdims in itertools.product(cases, (False, True)):
        bounds = (0.7, 1.3) if name == "prod" else (-5, 5)
        yield Sample(
            (numbers(shape, dtype, *bounds),),
            {"axis": axis, "keepdims": keepdims},
            accuracy,
            shape == (2, 3, 4) and not keepdims and axis in ((1,), (0, 2)),
        )
    yield from _special_reduction(name, dtype, ((0,), (1,)))


def _special_reduction(name: str, dtype: np.dtype, axes: Any) -> Iterator[Sample]:
    if name in SPECIAL_REDUCTIONS and kind_of(dtype) == "f":
        nan = float("nan")
        rows = np.array([[1.0, nan, 3.0, -1.0], [2.0, 5.0, nan, -1.0], [2.0, float("inf"), 0.0, -1.0]]).astype(dtype)
        for axis in axes:
            yield Sample((rows,), {"axis": axis, "keepdims": False}, "sum" if name in ("sum", "prod") else "exact")


def _arg(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for axis, keepdims in itertools.product((0, 1, 2), (False, True)):
        attrs = {"axis": axis, "keepdims": keepdims}
        yield Sample((numbers((2, 3, 4), dtype, -5, 5),), attrs, "exact", not keepdims)
        yield Sample((np.round(numbers((2, 3, 4), dtype, -1, 1, 3)).astype(dtype),), attrs, "exact")  # ties
    yield Sample((numbers((0, 3), dtype, 0, 1),), {"axis": 1, "keepdims": False}, "exact")
    yield from _special_reduction(name, dtype, (0, 1))


def _cumsum(name: str, dtype: np.dtype) -> Iterator[Sample]:
    bounds = (0.7, 1.3) if name == "cumprod" else (-5, 5)
    for axis in (0, 1, 2):
        yield Sample((numbers((2, 3, 4), dtype, *bounds),), {"axis": axis}, "sum", axis == 1)
    yield Sample((numbers((0, 3), dtype, -5, 5),), {"axis": 0}, "sum")


def _reshape(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for old, new in (((2, 3, 4), (6, 4)), ((2, 3, 4), (4, 1, 6)), ((), (1, 1)), ((1,), ()), ((0, 3), (3, 0, 2))):
        yield Sample((numbers(old, dtype, -5, 5),), {"shape": new}, "exact", old == (2, 3, 4))


def _permute(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for shape, axes in (((2, 3, 4), (2, 0, 1)), ((2, 3, 4), (0, 2, 1)), ((), ()), ((0, 3), (1, 0))):
        yield Sample((numbers(shape, dtype, -5, 5),), {"axes": axes}, "exact", shape == (2, 3, 4))


def _broadcast_to(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for old, new in (((3, 1), (2, 3, 4)), ((4,), (3, 4)), ((), (2, 2)), ((1, 3), (0, 3)), ((3, 4), (3, 4))):
        yield Sample((numbers(old, dtype, -5, 5),), {"shape": new}, "exact", len(old) > 0)


REGIONS: tuple[tuple[Shape, Shape, Shape], ...] = (
    ((1, 0), (2, 4), (1, 1)),
    ((2, 3), (3, 2), (-1, -2)),
    ((0, 3), (2, 1), (2, 1)),
    ((2, 0), (1, 4), (-1, 1)),
    ((0, 0), (0, 2), (1, 2)),
)
"""(start, size, step) in a (3, 4) array."""


def _slice(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for start, size, step in REGIONS:
        attrs = {"start": start, "size": size, "step": step}
        yield Sample((numbers((3, 4), dtype, -5, 5),), attrs, "exact", True)
    yield Sample((numbers((), dtype, -5, 5),), {"start": (), "size": (), "step": ()}, "exact")


def _slice_update(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for start, size, step in REGIONS:
        operands = numbers((3, 4), dtype, -5, 5), numbers(size, dtype, -5, 5, 1)
        yield Sample(operands, {"start": start, "size": size, "step": step}, "exact", True)


def _pad(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for shape, low, high, interior in (
        ((2, 3), (1, 0), (0, 2), (0, 0)),
        ((2, 3), (0, 1), (1, 0), (2, 1)),
        ((0, 3), (1, 1), (1, 0), (1, 1)),
        ((), (), (), ()),
    ):
        attrs = {"low": low, "high": high, "interior": interior}
        yield Sample((numbers(shape, dtype, -5, 5),), attrs, "exact", shape == (2, 3))


def _concat(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for shapes, axis in ((((3, 4), (3, 1), (3, 2)), 1), (((3, 4), (0, 4)), 0), (((2,),), 0)):
        operands = tuple([numbers(shape, dtype, -5, 5, seed) for seed, shape in enumerate(shapes)])
        yield Sample(operands, {"axis": axis}, "exact", axis == 1)


POSITIONS: tuple[np.ndarray, ...] = (
    np.array(-1), np.array([2, 0, -3, 0]), np.array([[1, -1], [0, 2]]), np.zeros((0,), np.int64), np.arange(3),
    np.array([2, 0, 1, 1, 0, 2, 2, 0, 1, 0, 2]),
)  # fmt: skip


def _gather(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for at, axis in itertools.product(POSITIONS, (0, 1)):
        shape = (3, 4) if axis == 0 else (4, 3)
        yield Sample((numbers(shape, dtype, -5, 5), at), {"axis": axis}, "exact", at.ndim == 1 and at.size > 0)


def _scatter_add(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for at, axis in itertools.product(POSITIONS, (0, 1)):
        shape, added = ((3, 4), (*at.shape, 4)) if axis == 0 else ((4, 3), (4, *at.shape))
        operands = numbers(shape, dtype, -5, 5), at, numbers(added, dtype, -5, 5, 1)
        yield Sample(operands, {"axis": axis}, "sum", at.ndim == 1 and at.size > 0)


def _take_along(name: str, dtype: np.dtype) -> Iterator[Sample]:
    x = numbers((3, 4), dtype, -5, 5)
    yield Sample((x, np.array([[0, -1, 2], [3, 3, 0], [-4, 1, 1]])), {"axis": 1}, "exact", True)
    yield Sample((x, np.array([[0, -1, 2, 1]])), {"axis": 0}, "exact")
    yield Sample((x, np.zeros((3, 0), np.int64)), {"axis": 1}, "exact")


def _matmul(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for one, two in (
        ((3, 4), (4, 2)),
        ((2, 3, 4), (2, 4, 2)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((3, 3), (3, 3)),
        ((3, 4), (2, 4, 2)),
        ((2, 3, 4), (4, 2)),
        ((1, 4), (4, 3)),
        ((3, 4), (4, 1)),
        ((2, 1, 4), (2, 4, 1)),
        ((1, 1), (1, 1)),
        ((3, 0), (0, 2)),
        ((0, 4), (4, 2)),
        ((17, 33), (33, 9)),
    ):
        operands = numbers(one, dtype, -3, 3), numbers(two, dtype, -3, 3, 1)
        yield Sample(operands, {}, "sum", one in ((3, 4), (2, 3, 4), (3, 3)))


def _full(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for shape, value in itertools.product(((2, 3), (), (0, 2)), (0, 1, True)):
        yield Sample((), {"shape": shape, "dtype": dtype, "value": value}, "exact")


def _iota(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for size in (0, 1, 9):
        yield Sample((), {"size": size, "dtype": dtype}, "exact")


def _random_bits(name: str, dtype: np.dtype) -> Iterator[Sample]:
    key = np.array([7, 4000000000], DTYPES[U4])
    keys = np.array([[0, 0], [1, 2], [4294967295, 3]], DTYPES[U4])
    for shape in ((), (1,), (5,), (3, 7), (2, 3, 4), (0,)):
        yield Sample((key,), {"shape": shape}, "exact", shape == (5,))
    for shape in ((), (6,)):
        yield Sample((keys,), {"shape": shape}, "exact", shape == (6,))


SAMPLES: dict[str, Sampler] = {
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(BINARY, _binary),
    "where": _where,
    "cast": _cast,
    "bitcast": _bitcast,
    **dict.fromkeys(("cumsum", "cumprod"), _cumsum),
    "reshape": _reshape,
    "permute": _permute,
    "broadcast_to": _broadcast_to,
    "slice": _slice,
    "slice_update": _slice_update,
    "pad": _pad,
    "concat": _concat,
    "gather": _gather,
    "scatter_add": _scatter_add,
    "take_along": _take_along,
    "matmul": _matmul,
    "full": _full,
    "iota": _iota,
    "random_bits": _random_bits,
    **dict.fromkeys(("sum", "prod", "max", "min"), _reduction),
    **dict.fromkeys(("argmax", "argmin"), _arg),
}
