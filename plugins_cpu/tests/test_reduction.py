"""Reductions against NumPy: any axes and layouts, NaN, empty operands, accuracy of long sums, determinism."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from plugrad.errors import ShapeError

AXES = [axes for n in range(4) for axes in itertools.combinations(range(3), n)]
NUMPY = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}


def close(got: np.ndarray, expected: np.ndarray) -> None:
    """Equal integers, floats to rounding; equal shapes and dtypes."""
    assert got.shape == expected.shape and got.dtype == expected.dtype
    if got.dtype.kind == "f":
        np.testing.assert_allclose(got, expected, rtol=30 * np.finfo(got.dtype).eps, atol=600 * np.finfo(got.dtype).eps)
    else:
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("op", NUMPY)
@pytest.mark.parametrize("axis", AXES)
def test_any_axes_and_layout(op: str, axis: Any, call: Any, kit: Any, rng: Any, number: Any, layout: str) -> None:
    x = kit.sample(rng, (3, 4, 5), number)
    x = x / 3 if op == "prod" and number.kind == "f" else x
    wide = {"dtype": number} if op in ("sum", "prod") else {}
    for keepdims in (False, True):
        expected = np.asarray(NUMPY[op](x, axis=axis, keepdims=keepdims, **wide))
        close(call(op, kit.laid_out(x, layout), axis=axis, keepdims=keepdims), expected)


@pytest.mark.parametrize("op", ["sum", "max", "min"])
@pytest.mark.parametrize(
    "shape", [(600, 7), (7, 600), (3, 300, 5), (1, 1000), (1000, 1), (33, 65), (2, 2, 700), (40, 2, 3, 9)]
)
def test_long_axes_cross_chunks_and_tiles(op: str, shape: Any, call: Any, kit: Any, rng: Any, floating: Any) -> None:
    x = rng.normal(size=shape).astype(floating)
    for n in range(len(shape) + 1):
        for axis in itertools.combinations(range(len(shape)), n):
            for y in (x, x[::-1], np.asfortranarray(x), x[..., ::2]):
                expected = np.asarray(NUMPY[op](y.astype(np.float64), axis=axis)).astype(floating)
                got = call(op, y, axis=axis, keepdims=False)
                np.testing.assert_allclose(got, expected, rtol=1e-4, atol=200 * np.finfo(floating).eps)


@pytest.mark.parametrize("op", ["sum", "prod", "max", "min"])
def test_every_tail(op: str, call: Any, rng: Any, number: Any) -> None:
    for n in range(1, 70):
        x = rng.integers(1, 3, size=n).astype(number)
        close(
            call(op, x, axis=(0,), keepdims=False),
            np.asarray(NUMPY[op](x, **({"dtype": number} if op in ("sum", "prod") else {}))),
        )
        y = np.stack([x, x, x])
        close(
            call(op, y, axis=(0,), keepdims=False),
            np.asarray(NUMPY[op](y, axis=0, **({"dtype": number} if op in ("sum", "prod") else {}))),
        )


def test_broadcast_operands(call: Any, kit: Any, rng: Any, number: Any) -> None:
    x = np.broadcast_to(kit.sample(rng, (4, 1), number), (3, 4, 5))
    for axis in AXES:
        close(call("sum", x, axis=axis, keepdims=False), np.asarray(x.sum(axis, dtype=number)))
        close(call("max", x, axis=axis, keepdims=False), np.asarray(x.max(axis)))


def test_long_sums_are_pairwise(call: Any) -> None:
    """A plain running sum of these would be off by some percent."""
    n = 1 << 22
    x = np.full(n, 0.1, np.float32)
    exact = float(np.float32(0.1)) * n
    for y, axis in ((x, (0,)), (x.reshape(1 << 11, -1), (0, 1)), (np.stack([x[::2], x[1::2]], 1), (0, 1))):
        assert abs(float(call("sum", y, axis=axis, keepdims=False)) - exact) / exact < 1e-6
    tall = np.full((1 << 20, 3), 0.1, np.float32)
    for y in (tall, np.repeat(tall, 2, axis=1)[:, ::2]):
        got = call("sum", y, axis=(0,), keepdims=False).astype(np.float64)
        np.testing.assert_allclose(got, float(np.float32(0.1)) * (1 << 20), rtol=1e-6)
    strided = np.full(1 << 21, 0.1, np.float32)[::2]
    assert abs(float(call("sum", strided, axis=(0,), keepdims=False)) / (float(np.float32(0.1)) * (1 << 20)) - 1) < 1e-6


def test_sums_repeat_bit_for_bit(call: Any, rng: Any) -> None:
    x = rng.normal(size=(100, 1000)).astype(np.float32)
    for axis in ((0,), (1,), (0, 1)):
        assert len({call("sum", x, axis=axis, keepdims=False).tobytes() for _ in range(5)}) == 1


@pytest.mark.parametrize("op", ["max", "min", "sum"])
def test_nan_propagates_from_every_place(op: str, call: Any, floating: Any) -> None:
    for n in (1, 5, 40, 700):
        for place in {0, n // 2, n - 1}:
            x = np.arange(n, dtype=floating)
            x[place] = np.nan
            assert np.isnan(call(op, x, axis=(0,), keepdims=False))
            assert np.isnan(call(op, np.stack([x] * 5, 1), axis=(0,), keepdims=False)).all()


def test_infinities(call: Any, floating: Any) -> None:
    x = np.array([-np.inf, -np.inf], floating)
    assert call("max", x, axis=(0,), keepdims=False) == -np.inf
    assert call("min", -x, axis=(0,), keepdims=False) == np.inf
    assert np.isnan(call("sum", np.array([np.inf, -np.inf], floating), axis=(0,), keepdims=False))


def test_bools_or_and_and_together(call: Any, rng: Any) -> None:
    x = rng.random((7, 5, 40)) < 0.1
    for op, expected in (("sum", np.any), ("max", np.any), ("prod", np.all), ("min", np.all)):
        for axis in AXES:
            for y in (x, ~x):
                got = call(op, y, axis=axis, keepdims=False)
                assert got.dtype == bool
                np.testing.assert_array_equal(got, expected(y, axis=axis))
    np.testing.assert_array_equal(call("cumsum", x, axis=2), np.logical_or.accumulate(x, 2))


def test_empty_operands(call: Any, number: Any) -> None:
    x = np.zeros((0, 3), number)
    np.testing.assert_array_equal(call("sum", x, axis=(0,), keepdims=False), np.zeros(3, number))
    np.testing.assert_array_equal(call("prod", x, axis=(0, 1), keepdims=True), np.ones((1, 1), number))
    for op in ("max", "min"):
        assert call(op, x, axis=(1,), keepdims=False).shape == (0,)
        with pytest.raises(ShapeError, match=f"{op}: axis"):
            call(op, x, axis=(0,), keepdims=False)
    assert call("argmax", x, axis=1, keepdims=True).shape == (0, 1)
    with pytest.raises(ShapeError, match="argmax"):
        call("argmax", x, axis=0, keepdims=False)
    assert call("cumsum", x, axis=0).shape == (0, 3)


@pytest.mark.parametrize("op", ["argmax", "argmin"])
def test_arg(op: str, call: Any, kit: Any, rng: Any, computed: Any, layout: str) -> None:
    x = kit.sample(rng, (6, 7, 8), computed)
    for axis in range(3):
        for keepdims in (False, True):
            got = call(op, kit.laid_out(x, layout), axis=axis, keepdims=keepdims)
            expected = getattr(np, op)(x, axis=axis, keepdims=keepdims)
            assert got.dtype == np.int64
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("op", ["argmax", "argmin"])
def test_arg_takes_the_first_nan(op: str, call: Any, floating: Any) -> None:
    x = np.array([3, np.nan, 9, np.nan, -1], floating)
    assert call(op, x, axis=0, keepdims=False) == 1
    assert call(op, np.array([5, 5, 5], floating), axis=0, keepdims=False) == 0


def test_cumsum(call: Any, kit: Any, rng: Any, number: Any, layout: str) -> None:
    x = kit.sample(rng, (4, 5, 6), number)
    for axis in range(3):
        close(call("cumsum", kit.laid_out(x, layout), axis=axis), np.cumsum(x, axis, dtype=number))


def test_axes_that_do_not_fit_raise(call: Any) -> None:
    for axis in ((2,), (-1,), (0, 0)):
        with pytest.raises(ShapeError, match="sum: axis"):
            call("sum", np.zeros((2, 3)), axis=axis, keepdims=False)
    with pytest.raises(ShapeError, match="cumsum: axis"):
        call("cumsum", np.zeros((2, 3)), axis=2)
    with pytest.raises(ShapeError, match="argmin: axis"):
        call("argmin", np.zeros(()), axis=0, keepdims=False)
