"""Writing at positions over several axes, against the reference; bad positions raise before anything is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad.errors import DTypeError, ShapeError
from plugrad.reference.backend import NumpyBackend
from plugrad_cpu import view

AXES = [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)]
OPS = ("scatter", "scatter_mul", "scatter_min", "scatter_max")


def operands(
    rng: np.random.Generator, kit: Any, axis: tuple[int, ...], places: tuple[int, ...], dtype: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is written to, positions and values."""
    shape = (3, 4, 5)
    n = int(np.prod([shape[a] for a in axis]))
    kept = [d for a, d in enumerate(shape) if a not in axis]
    wanted = (*kept[: axis[0]], *places, *kept[axis[0] :])
    i = np.asarray(rng.integers(-n, n, size=places))
    return kit.sample(rng, shape, dtype, 0, 3), i, kit.sample(rng, wanted, dtype, 0, 3)


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("places", [(), (9,), (2, 3), (0,)], ids=str)
def test_scatter(axis: Any, places: Any, call: Any, into: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    x, i, v = operands(rng, kit, axis, places, stored)
    expected = NumpyBackend.kernels["scatter"](x, i, v, axis=axis)
    laid = kit.laid_out(x, layout), kit.laid_out(i, layout), kit.laid_out(v, layout)
    np.testing.assert_array_equal(call("scatter", *laid, axis=axis), expected)
    np.testing.assert_array_equal(into("scatter", 0, *laid, axis=axis), expected)


@pytest.mark.parametrize("op", OPS[1:])
@pytest.mark.parametrize("axis", [(1,), (2,), (0, 2), (0, 1, 2)], ids=str)
def test_combining(op: str, axis: Any, call: Any, into: Any, kit: Any, rng: Any, number: Any, layout: str) -> None:
    for places in ((), (9,), (2, 3), (0,)):
        x, i, v = operands(rng, kit, axis, places, number)
        expected = NumpyBackend.kernels[op](x, i, v, axis=axis)
        laid = kit.laid_out(x, layout), kit.laid_out(i, layout), kit.laid_out(v, layout)
        close = {"rtol": 1e-5} if number.kind == "f" else {"rtol": 0}
        np.testing.assert_allclose(call(op, *laid, axis=axis), expected, **close)
        np.testing.assert_allclose(into(op, 0, *laid, axis=axis), expected, **close)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_numbers_are_added_and_multiplied(dtype: str, call: Any, kit: Any, rng: Any) -> None:
    x, i, v = operands(rng, kit, (1,), (6,), np.dtype(dtype))
    for op, axis in (("scatter_mul", (1,)), ("scatter_add", 1)):
        expected = NumpyBackend.kernels[op](x, i, v, axis=axis)
        np.testing.assert_allclose(call(op, x, i, v, axis=axis), expected, rtol=1e-5)


def test_of_repeated_positions_the_last_stays(call: Any) -> None:
    x = np.zeros((2, 300))
    i = np.tile(np.arange(300), 5)
    v = np.arange(2 * i.size, dtype=float).reshape(2, i.size)
    np.testing.assert_array_equal(call("scatter", x, i, v, axis=(1,)), v[:, -300:])


def test_into_other_memory_and_from_the_same(backend: Any) -> None:
    x, out = view.over_array(np.arange(4.0)), view.empty((4,), np.float64)
    backend.into["scatter"](
        out, x, view.over_array(np.array([1, -1])), view.over_array(np.array([8.0, 9.0])), axis=(0,)
    )
    assert np.asarray(out).tolist() == [0, 8, 2, 9] and np.asarray(x).tolist() == [0, 1, 2, 3]
    turned = backend.kernels["slice"].fn(out, start=(3,), size=(4,), step=(-1,))
    backend.into["scatter"](out, out, view.over_array(np.arange(4)), turned, axis=(0,))
    assert np.asarray(out).tolist() == [9, 2, 8, 0]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("bad", [12, -13, 2**62, -(2**63)])
def test_bad_positions_raise_before_anything_is_written(op: str, bad: int, call: Any, backend: Any) -> None:
    x, i, v = np.arange(12.0).reshape(3, 4), np.array([0, 1, bad]), np.full(3, 50.0)
    message = rf"{op}: index {bad} is out of range for axes \(0, 1\) of shape \(3, 4\); use -12 to 11"
    with pytest.raises(IndexError, match=message):
        call(op, x, i, v, axis=(0, 1))
    value = view.over_array(x)
    with pytest.raises(IndexError):
        backend.into[op](value, value, view.over_array(i), view.over_array(v), axis=(0, 1))
    np.testing.assert_array_equal(x, np.arange(12.0).reshape(3, 4))


def test_shapes_and_dtypes_that_do_not_fit_raise(call: Any) -> None:
    x, i = np.zeros((3, 4)), np.array([0, 1])
    with pytest.raises(ShapeError, match=r"scatter: values \(2, 3\) and positions \(2,\) over axes \(0,\)"):
        call("scatter", x, i, np.zeros((2, 3)), axis=(0,))
    for axis in ((), (2,), (-1,), (1, 0), (0, 0)):
        with pytest.raises(ShapeError, match="name axes once, in order"):
            call("scatter", x, i, np.zeros((2, 4)), axis=axis)
    with pytest.raises(DTypeError, match="float32 does not go into float64"):
        call("scatter", x, i, np.zeros((2, 4), np.float32), axis=(0,))
    with pytest.raises(DTypeError, match="indices are int64"):
        call("scatter", x, i.astype(np.int32), np.zeros((2, 4)), axis=(0,))
