"""Indexing kernels against NumPy; bad indices raise before anything is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad.errors import DTypeError, ShapeError
from plugrad_cpu import view


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("index_shape", [(), (6,), (2, 3), (0,)])
def test_gather(axis: int, index_shape: Any, call: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    x = kit.sample(rng, (3, 4, 5), stored)
    i = np.asarray(rng.integers(-x.shape[axis], x.shape[axis], size=index_shape))
    got = call("gather", kit.laid_out(x, layout), kit.laid_out(i, layout), axis=axis)
    np.testing.assert_array_equal(got, np.take(x, i, axis))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("index_shape", [(), (9,), (2, 3), (0,)])
def test_scatter_add(
    axis: int, index_shape: Any, call: Any, into: Any, kit: Any, rng: Any, number: Any, layout: str
) -> None:
    x = kit.sample(rng, (3, 4, 5), number, 0, 3)
    i = np.asarray(rng.integers(-x.shape[axis], x.shape[axis], size=index_shape))
    v = kit.sample(rng, (*x.shape[:axis], *index_shape, *x.shape[axis + 1 :]), number, 0, 3)
    expected = x.copy()
    np.add.at(expected, (slice(None),) * axis + (i,), v)
    close = {"rtol": 1e-5, "atol": 1e-5} if number.kind == "f" else {"rtol": 0}
    xs = kit.laid_out(x, layout), kit.laid_out(i, layout), kit.laid_out(v, layout)
    np.testing.assert_allclose(call("scatter_add", *xs, axis=axis), expected, **close)
    np.testing.assert_allclose(into("scatter_add", 0, *xs, axis=axis), expected, **close)


def test_scatter_add_into_other_memory_and_from_the_same(backend: Any) -> None:
    x, i = view.over_array(np.arange(4.0)), view.over_array(np.array([1, 1, -1]))
    out = view.empty((4,), np.float64)
    backend.into["scatter_add"](out, x, i, view.over_array(np.ones(3)), axis=0)
    assert np.asarray(out).tolist() == [0, 3, 2, 4]
    head = backend.kernels["slice"].fn(out, start=(1,), size=(3,), step=(1,))
    backend.into["scatter_add"](out, out, view.over_array(np.array([2, 0, 1])), head, axis=0)
    assert np.asarray(out).tolist() == [2, 7, 5, 4]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_take_along(axis: int, call: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    x = kit.sample(rng, (3, 4, 5), stored)
    for length in (1, 2, 7, 0):
        shape = tuple(length if a == axis else n for a, n in enumerate(x.shape))
        i = rng.integers(-x.shape[axis], x.shape[axis], size=shape)
        got = call("take_along", kit.laid_out(x, layout), kit.laid_out(i, layout), axis=axis)
        np.testing.assert_array_equal(got, np.take_along_axis(x, i, axis))
    other = tuple(2 if a == axis else 1 for a in range(3))
    i = rng.integers(0, x.shape[axis], size=other)
    np.testing.assert_array_equal(call("take_along", x, i, axis=axis), np.take_along_axis(x, i, axis))
    narrow = x[(slice(None),) * ((axis + 1) % 3) + (slice(0, 1),)]
    i = rng.integers(0, x.shape[axis], size=x.shape)
    np.testing.assert_array_equal(call("take_along", narrow, i, axis=axis), np.take_along_axis(narrow, i, axis))


@pytest.mark.parametrize("bad", [5, -6, 2**62, -(2**63)])
def test_bad_indices_raise_before_anything_is_written(bad: int, call: Any, backend: Any) -> None:
    x = np.arange(10.0).reshape(5, 2)
    i = np.array([0, 1, bad, 2])
    message = rf"index {bad} is out of range for axis 0 of shape \(5, 2\); use -5 to 4"
    with pytest.raises(IndexError, match=f"gather: {message}"):
        call("gather", x, i, axis=0)
    with pytest.raises(IndexError, match=f"scatter_add: {message}"):
        call("scatter_add", x, i, np.ones((4, 2)), axis=0)
    with pytest.raises(IndexError, match="take_along: index"):
        call("take_along", x, i[:, None], axis=0)
    value = view.over_array(x)
    with pytest.raises(IndexError):
        backend.into["scatter_add"](value, value, view.over_array(i), view.over_array(np.ones((4, 2))), axis=0)
    np.testing.assert_array_equal(x, np.arange(10.0).reshape(5, 2))


def test_an_empty_axis_has_no_index(call: Any) -> None:
    with pytest.raises(IndexError):
        call("gather", np.zeros((0, 3)), np.array([0]), axis=0)
    assert call("gather", np.zeros((0, 3)), np.zeros(0, np.int64), axis=0).shape == (0, 3)
    assert call("gather", np.zeros((4, 0)), np.array([1, 3]), axis=0).shape == (2, 0)


def test_shapes_and_dtypes_that_do_not_fit_raise(call: Any) -> None:
    x = np.zeros((3, 4))
    with pytest.raises(DTypeError, match="int64"):
        call("gather", x, np.zeros(2, np.int32), axis=0)
    with pytest.raises(ShapeError, match="axis 2"):
        call("gather", x, np.zeros(2, np.int64), axis=2)
    with pytest.raises(ShapeError, match="scatter_add"):
        call("scatter_add", x, np.zeros(2, np.int64), np.zeros((3, 4)), axis=0)
    with pytest.raises(DTypeError, match="scatter_add"):
        call("scatter_add", x, np.zeros(2, np.int64), np.zeros((2, 4), np.float32), axis=0)
    with pytest.raises(ShapeError, match="take_along"):
        call("take_along", x, np.zeros(2, np.int64), axis=0)
    with pytest.raises(ShapeError, match="take_along"):
        call("take_along", x, np.zeros((2, 3), np.int64), axis=0)
    with pytest.raises(ShapeError, match="axes"):
        call("gather", x, np.zeros((1,) * 32, np.int64), axis=0)
