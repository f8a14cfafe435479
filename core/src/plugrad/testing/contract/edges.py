"""Calls at the edges, for each op: many elements, many axes, the ends of integer dtypes, zeros of both signs, NaN and
infinity, numbers close to 0, operands that are one and the same.

Left out is what the contract leaves open: integer division by zero, shifts beyond the width, a float out of an
integer's range.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...dtypes import DTYPES, U4
from .numbers import BINARY, UNARY, Shape, extremes, given, numbers, special
from .subject import kind_of

Edge = tuple[tuple[np.ndarray, ...], dict[str, Any], str]
"""Operands, attributes, accuracy."""

LARGE: Shape = (70, 331)
DEEP: Shape = (2, 1, 3, 1, 2)
NAN, INF = float("nan"), float("inf")
CLOSE_TO_0 = (1e-3, 1e-7, -1e-7, 1e-30, -1e-30)
SIGNED = ("neg", "abs", "copy", "mul", "ceil", "trunc", "round", "copysign")
_FUNCTIONS = "exp expm1 log log1p log2 log10 sqrt sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh erf"
FUNCTIONS = tuple(_FUNCTIONS.split())


def edges(name: str, dtype: np.dtype) -> Iterator[Edge]:
    """The calls for an op on operands whose key has this dtype."""
    if name in UNARY:
        yield from _unary(name, dtype)
    elif name in BINARY:
        yield from _binary(name, dtype)
    elif name in _OTHERS:
        yield from _OTHERS[name](name, dtype)


def _unary(name: str, dtype: np.dtype) -> Iterator[Edge]:
    low, high, accuracy = UNARY[name]
    kind = kind_of(dtype)
    if accuracy == "exact" and kind == "c":
        accuracy = "rounded"
    for shape in (LARGE, DEEP):
        yield (numbers(shape, dtype, low, high),), {}, accuracy
    if kind in "iu":
        yield (extremes(dtype),), {}, accuracy
    if kind == "f":
        yield (special(dtype),), {}, "signed" if name in SIGNED else accuracy
        if name in FUNCTIONS:
            yield (given(CLOSE_TO_0, dtype),), {}, accuracy
        if name in ("exp", "expm1", "sinh", "cosh", "tanh"):
            yield (given((-80.0, -20.0, -9.5, 9.5, 20.0), dtype),), {}, accuracy
        if name in ("sin", "cos"):
            yield (given((20.0, -333.0, 1001.0, 5000.0), dtype),), {}, accuracy
        if name in ("asinh", "acosh", "atan"):
            yield (given((20.0, 333.0, 9999.0, 10001.0, 1e30, -1e30), dtype),), {}, accuracy
        if name in ("floor", "ceil", "trunc", "round"):
            yield (given((1e10, -1e10, 1e4 + 0.5, -0.5), dtype),), {}, "signed" if name in SIGNED else accuracy


def _binary(name: str, dtype: np.dtype) -> Iterator[Edge]:
    low, high, low2, high2, accuracy = BINARY[name]
    kind = kind_of(dtype)
    if name in ("remainder", "floor_divide"):
        low2, high2 = -4, -1
    if kind in "biu":
        accuracy = "exact"
        low2, high2 = (0, 3) if name == "pow" else (1, 4) if low2 == -4 and kind in "bu" else (low2, high2)
    for one, two in ((LARGE, LARGE), (LARGE, (1, LARGE[1])), (DEEP, (1, 2, 3, 2, 1))):
        yield (numbers(one, dtype, low, high), numbers(two, dtype, low2, high2, 1)), {}, accuracy
    both = numbers((3, 4), dtype, max(low, low2, 0.5) if name in ("div", "pow") else low, high)
    if name not in ("remainder", "floor_divide") and not name.startswith("shift"):
        yield (both, both), {}, accuracy
    if kind in "iu":
        yield from _integers(name, dtype)
    if kind == "f":
        yield from _floats(name, dtype, "signed" if name in SIGNED else accuracy)


def _integers(name: str, dtype: np.dtype) -> Iterator[Edge]:
    ends, bits = extremes(dtype), np.iinfo(dtype).bits
    second = ends
    if name in ("remainder", "floor_divide"):
        second = np.array([1, 2, 3, 7, np.iinfo(dtype).max] + [-2, -3] * (dtype.kind == "i"), dtype)
    elif name.startswith("shift"):
        second = np.array([0, 1, 3, bits - 2, bits - 1]).astype(dtype)
    elif name == "pow":
        second = np.array([0, 1, 2, 3]).astype(dtype)
    yield (ends[:, None], second), {}, "exact"


def _floats(name: str, dtype: np.dtype, accuracy: str) -> Iterator[Edge]:
    x = special(dtype)
    if name in ("remainder", "floor_divide"):
        x = given((NAN, 1.0, -1.0, 2.5, INF, -INF), dtype)
        y = given((-2.0, 2.0, NAN, INF, -INF), dtype)
        yield (x[:, None], y), {}, "signed" if name == "floor_divide" else accuracy
    elif name == "pow":
        bases, exponents = np.array((-2.5, -1.0, -0.5, 0.0, 3.0)), np.array((-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0))
        yield (given(bases, dtype)[:, None], given(exponents, dtype)), {}, accuracy
    else:
        yield (x[:, None], x), {}, accuracy


def _where(name: str, dtype: np.dtype) -> Iterator[Edge]:
    chosen = np.random.default_rng(3).random(LARGE) < 0.5
    yield (chosen, numbers(LARGE, dtype, -5, 5), numbers(LARGE, dtype, -5, 5, 1)), {}, "exact"
    yield (
        (chosen[0].reshape((331, 1))[:3], numbers(DEEP, dtype, -5, 5), numbers((2, 3, 1, 2), dtype, -5, 5, 1)),
        {},
        "exact",
    )
    for condition in (True, False):
        yield (
            (np.full((3, 4), condition), numbers((3, 4), dtype, -5, 5), numbers((3, 4), dtype, -5, 5, 1)),
            {},
            "exact",
        )
    if kind_of(dtype) == "f":
        x = special(dtype)
        yield (np.arange(x.size) % 2 == 0, x, x[::-1].copy()), {}, "signed"
        ones, bad = np.ones(x.size, dtype), given(np.where(np.arange(x.size) % 2, NAN, INF), dtype)
        yield (np.full(x.size, True), ones, bad), {}, "signed"
        yield (np.full(x.size, False), bad, ones), {}, "signed"
    if kind_of(dtype) in "iu":
        x = extremes(dtype)
        yield (np.arange(x.size) % 2 == 0, x, x[::-1].copy()), {}, "exact"


def _cast(name: str, dtype: np.dtype) -> Iterator[Edge]:
    kind = kind_of(dtype)
    for target in DTYPES:
        attrs, to = {"dtype": target}, kind_of(target)
        if kind == "f" and to in "f":
            yield (special(dtype),), attrs, "signed"
        elif kind == "f" and to == "b":
            yield (given((0.5, -0.5, 0.0, -0.0, NAN, INF, -INF, 1e-3), dtype),), attrs, "exact"
        elif kind in "iu" and to in "iub":
            yield (extremes(dtype),), attrs, "exact"
        elif kind in "iu" and target.itemsize >= 4 and to == "f":
            yield (extremes(dtype),), attrs, "rounded"
    yield (numbers(LARGE, dtype, 0, 4),), {"dtype": DTYPES[0] if kind == "s" else dtype}, "exact"


def _reduction(name: str, dtype: np.dtype) -> Iterator[Edge]:
    kind = kind_of(dtype)
    accuracy = "sum" if name in ("sum", "prod") else "exact"
    bounds = {"sum": (0.5, 1.5), "prod": (0.9, 1.1)}.get(name, (0, 5) if kind in "bu" else (-5, -1))
    if kind in "iu" and name == "sum":
        bounds = (0, 5)
    cases: list[tuple[Shape, tuple[int, ...]]] = [(LARGE, (0,)), (LARGE, (1,)), ((2, 3, 1, 2), (1,)), (DEEP, (0, 2))]
    cases += [((2, 3, 1, 2), (0, 3)), (DEEP, (4,))]
    if name != "prod":
        cases.append(((130, 331), (0, 1)))
    for shape, axis in cases:
        yield (numbers(shape, dtype, *bounds),), {"axis": axis, "keepdims": False}, accuracy
    if kind == "b":
        yield (np.ones((256, 3), dtype),), {"axis": (0,), "keepdims": False}, "exact"  # a count that wraps in a byte
    if kind in "iu":
        few = np.random.default_rng(5).choice([1, 2, 3], (2, 3, 4))
        signs = np.where(np.arange(24).reshape(2, 3, 4) % 3 == 0, -1 if kind == "i" else 1, 1)
        for axis in ((0,), (1,), (0, 1, 2)):
            yield ((few * signs).astype(dtype),), {"axis": axis, "keepdims": False}, "exact"
        for axis in ((0,), (1,)):
            yield (extremes(dtype)[:10].reshape(2, 5),), {"axis": axis, "keepdims": False}, "exact"
    if kind == "f":
        yield (given(np.full((3, 4), NAN), dtype),), {"axis": (1,), "keepdims": False}, accuracy


def _arg(name: str, dtype: np.dtype) -> Iterator[Edge]:
    for shape, axis in ((LARGE, 0), (LARGE, 1), ((2, 3, 1, 4), 3), ((2, 3, 2, 4), 1), ((1, 2, 3, 1, 2), 2)):
        yield (numbers(shape, dtype, -100, 100),), {"axis": axis, "keepdims": False}, "exact"
    if kind_of(dtype) in "iu":
        for axis in (0, 1):
            yield (extremes(dtype)[:10].reshape(2, 5),), {"axis": axis, "keepdims": False}, "exact"


def _cumsum(name: str, dtype: np.dtype) -> Iterator[Edge]:
    low, high = (0.9, 1.1) if name == "cumprod" else (0, 1.5)
    for shape, axis in ((LARGE, 0), (LARGE, 1), ((2, 3, 1, 4), 1), ((1, 2, 3, 1, 2), 2)):
        x = numbers(shape, dtype, low, high)
        if name == "cumprod" and kind_of(dtype) == "c":  # both parts are about 1; of size 1, products stay finite
            x *= 0.7
        yield (x,), {"axis": axis}, "sum"
    if name == "cumprod" and kind_of(dtype) == "f":
        yield (given((2.0, 0.0, 3.0, INF, NAN, 1.0), dtype),), {"axis": 0}, "sum"


def _argsort(name: str, dtype: np.dtype) -> Iterator[Edge]:
    for descending in (False, True):
        for shape, axis in ((LARGE, 0), (LARGE, 1), ((2, 3, 1, 4), 3), ((1, 2, 3, 1, 2), 2)):
            yield (numbers(shape, dtype, -3, 3),), {"axis": axis, "descending": descending}, "exact"
        if kind_of(dtype) == "f":
            yield (np.tile(special(dtype), 2),), {"axis": 0, "descending": descending}, "exact"
        if kind_of(dtype) in "iu":
            yield (extremes(dtype),), {"axis": 0, "descending": descending}, "exact"


def _searchsorted(name: str, dtype: np.dtype) -> Iterator[Edge]:
    for side in ("left", "right"):
        yield (np.sort(numbers((70,), dtype, -9, 9)), numbers(LARGE, dtype, -10, 10, 1)), {"side": side}, "exact"
        if kind_of(dtype) == "f":
            few = given((-INF, -1.0, -0.0, 0.0, 1.0, 1.0, INF, NAN), dtype)
            yield (few, special(dtype)), {"side": side}, "exact"
        if kind_of(dtype) in "iu":
            yield (extremes(dtype), extremes(dtype)), {"side": side}, "exact"


def _movement(name: str, dtype: np.dtype) -> Iterator[Edge]:
    attrs: dict[str, tuple[tuple[Shape, dict[str, Any]], ...]] = {
        "reshape": ((LARGE, {"shape": (331, 7, 10)}), (DEEP, {"shape": (3, 4)}), ((9,), {"shape": (3, 3)})),
        "permute": (
            (LARGE, {"axes": (1, 0)}),
            ((2, 3, 1, 4), {"axes": (2, 0, 3, 1)}),
            ((1, 2, 3, 4, 2), {"axes": (4, 1, 0, 3, 2)}),
        ),
        "broadcast_to": (((1, 331), {"shape": LARGE}), ((2, 1, 3, 1), {"shape": (2, 2, 4, 3, 2)})),
        "slice": (
            (LARGE, {"start": (69, 1), "size": (35, 330), "step": (-2, 1)}),
            ((2, 3, 4, 3), {"start": (1, 0, 3, 0), "size": (2, 2, 2, 2), "step": (-1, 2, -2, 1)}),
        ),
    }
    for shape, kept in attrs[name]:
        x = numbers(shape, dtype, -5, 5)
        if kind_of(dtype) == "f":
            x.reshape(-1)[:9] = special(dtype)[: x.size]
        yield (x,), kept, "signed"


def _slice_update(name: str, dtype: np.dtype) -> Iterator[Edge]:
    for shape, start, size, step in (
        (LARGE, (0, 330), (35, 331), (2, -1)),
        ((2, 3, 4), (1, 0, 3), (2, 2, 2), (-1, 2, -2)),
        ((2, 3, 1, 4), (0, 1, 0, 0), (2, 2, 1, 2), (1, 1, 1, 3)),
        ((2, 1, 3, 1, 2), (0, 0, 1, 0, 1), (1, 1, 2, 1, 1), (1, 1, 1, 1, 1)),
    ):
        operands = numbers(shape, dtype, -5, 5), numbers(size, dtype, -5, 5, 1)
        yield operands, {"start": start, "size": size, "step": step}, "exact"


def _pad(name: str, dtype: np.dtype) -> Iterator[Edge]:
    nothing = (0, 0)
    yield (numbers((2, 3), dtype, -5, 5),), {"low": nothing, "high": nothing, "interior": nothing}, "exact"
    yield (numbers(LARGE, dtype, -5, 5),), {"low": (1, 2), "high": (3, 0), "interior": (0, 1)}, "exact"
    attrs = {"low": (1, 0, 0, 2), "high": (0, 1, 0, 0), "interior": (0, 0, 1, 1)}
    yield (numbers((2, 3, 2, 2), dtype, -5, 5),), attrs, "exact"


def _concat(name: str, dtype: np.dtype) -> Iterator[Edge]:
    x = numbers((3, 4), dtype, -5, 5)
    yield (x, x), {"axis": 0}, "exact"
    yield (x, x[:, :2], x), {"axis": 1}, "exact"
    yield tuple(numbers((1, 3), dtype, -5, 5, seed) for seed in range(7)), {"axis": 0}, "exact"
    for axis in (0, 1, 2):
        yield (numbers((2, 3, 2), dtype, -5, 5), numbers((2, 3, 2), dtype, -5, 5, 1)), {"axis": axis}, "exact"
    yield (numbers(LARGE, dtype, -5, 5), numbers((70, 5), dtype, -5, 5)), {"axis": 1}, "exact"
    if kind_of(dtype) in "iu":
        yield (extremes(dtype), extremes(dtype)[::-1].copy()), {"axis": 0}, "exact"
    if kind_of(dtype) == "f":
        yield (special(dtype), special(dtype)[:3]), {"axis": 0}, "signed"


def _gather(name: str, dtype: np.dtype) -> Iterator[Edge]:
    yield (numbers((2, 3, 4), dtype, -5, 5), np.array([2, -3, 0])), {"axis": 1}, "exact"
    yield (numbers((2, 3, 2, 4), dtype, -5, 5), np.array([[1, -2], [0, 0]])), {"axis": 2}, "exact"
    many = np.random.default_rng(6).integers(-70, 70, 200)
    yield (numbers(LARGE, dtype, -5, 5), many), {"axis": 0}, "exact"
    yield (numbers(LARGE, dtype, -5, 5), many), {"axis": 1}, "exact"
    yield (numbers((0, 3), dtype, -5, 5), np.zeros((0,), np.int64)), {"axis": 0}, "exact"
    if kind_of(dtype) in "iu":
        yield (extremes(dtype), np.array([-1, 0, 9, 8, 7, 1])), {"axis": 0}, "exact"


def _scatter_add(name: str, dtype: np.dtype) -> Iterator[Edge]:
    for axis, shape in ((0, (3, 4)), (1, (2, 3, 4)), (1, LARGE)):
        at = np.random.default_rng(7).integers(-3, 3, 100)
        added = (*shape[:axis], 100, *shape[axis + 1 :])
        yield (numbers(shape, dtype, 0, 1.5), at, numbers(added, dtype, 0, 1.5, 1)), {"axis": axis}, "sum"


def _take_along(name: str, dtype: np.dtype) -> Iterator[Edge]:
    rng = np.random.default_rng(8)
    for shape, axis in (((3, 9), 0), ((2, 3, 4), 1), (LARGE, 1), (LARGE, 0)):
        n = shape[axis]
        yield (numbers(shape, dtype, -5, 5), rng.integers(-n, n, shape)), {"axis": axis}, "exact"


def _matmul(name: str, dtype: np.dtype) -> Iterator[Edge]:
    for one, two in (
        ((0, 3, 4), (0, 4, 2)),
        ((0, 3, 4), (4, 2)),
        ((2, 3, 0), (2, 0, 4)),
        ((2, 3, 4), (2, 4, 0)),
        ((2, 3, 2, 4), (1, 3, 4, 2)),
        (LARGE, (331, 35)),
    ):
        operands = numbers(one, dtype, 0.5, 1.5), numbers(two, dtype, 0.5, 1.5, 1)
        yield operands, {}, "sum"
    if kind_of(dtype) in "fs" and dtype.itemsize == 2:  # a sum that its own dtype cannot count up to
        yield (numbers((2, 6000), dtype, 0.5, 0.9), numbers((6000, 2), dtype, 0.5, 0.9, 1)), {}, "sum"
    if kind_of(dtype) == "f":
        x = given([[0.0, 1.0, 0.0], [1.0, 2.0, 0.0], [1.0, 0.0, 0.0]], dtype)
        yield (x, given([[NAN, 1.0], [1.0, 1.0], [2.0, INF]], dtype)), {}, "sum"


def _full(name: str, dtype: np.dtype) -> Iterator[Edge]:
    kind = kind_of(dtype)
    values: tuple[Any, ...] = () if kind == "b" else (7,)
    values += (-3,) if kind == "i" else ()
    values += (200,) if kind in "uf" or (kind == "i" and dtype.itemsize > 1) else ()
    values += (-2.5, NAN, INF) if kind in "fc" else ()
    for value in values:
        yield (), {"shape": (2, 3), "dtype": dtype, "value": value}, "exact"
    yield (), {"shape": LARGE, "dtype": dtype, "value": 1}, "exact"


def _iota(name: str, dtype: np.dtype) -> Iterator[Edge]:
    if dtype.itemsize >= 4 or (kind_of(dtype) in "iu" and dtype.itemsize == 2):
        yield (), {"size": 300, "dtype": dtype}, "exact"
        yield (), {"size": 30_000, "dtype": dtype}, "exact"


def _random_bits(name: str, dtype: np.dtype) -> Iterator[Edge]:
    key = np.array([7, 4000000000], DTYPES[U4])
    keys = np.arange(16).reshape((2, 4, 2)).astype(DTYPES[U4])
    calls = [(key, (1100,)), (key, (33, 41)), (keys, (5,)), (keys, ()), (keys[:0, 0], (3,)), (keys[0, :0], ())]
    for words, shape in calls:
        yield (words,), {"shape": shape}, "exact"


_OTHERS = {
    "where": _where,
    "cast": _cast,
    **dict.fromkeys(("cumsum", "cumprod"), _cumsum),
    "argsort": _argsort,
    "searchsorted": _searchsorted,
    **dict.fromkeys(("reshape", "permute", "broadcast_to", "slice"), _movement),
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
