"""Strides without a device: NumPy's own views are the oracle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from plugrad_cuda.layout import (
    Layout,
    broadcast,
    broadcast_strides,
    collapse,
    dense,
    layout_of,
    reaches,
    reshaped_strides,
)
from plugrad_cuda.text import needs_64

F4 = np.dtype(np.float32)


def of(array: np.ndarray) -> Layout:
    return layout_of(array.dtype, array.shape, tuple(s // array.itemsize for s in array.strides))


def views() -> list[np.ndarray]:
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    found = [x, x[0], x[:, 1], x[..., ::2], x[::-1], x[:, :, 1:3], x[:1], x[..., :1], x[:0], x[0, 0, 0, 0]]
    found += [x.transpose(axes) for axes in itertools.permutations(range(4))]
    found += [np.broadcast_to(x[:, :1], x.shape), np.broadcast_to(x[0, 0, 0, 0], (3, 2)), x.reshape(6, 20).T]
    return found


def test_equal_layouts_are_one_object() -> None:
    assert layout_of(F4, (2, 3), (3, 1)) is layout_of(F4, (2, 3), (3, 1)) is dense(F4, (2, 3))
    assert dense(F4, (2, 3)) is not dense(np.dtype(np.int32), (2, 3))


def test_very_many_layouts_are_forgotten_and_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugrad_cuda.layout._LIMIT", 10)
    for n in range(40):
        assert dense(F4, (n,)).shape == (n,)
    assert len(__import__("plugrad_cuda.layout", fromlist=["_known"])._known) <= 11


@pytest.mark.parametrize("array", views(), ids=lambda a: f"{a.shape}/{a.strides}")
def test_dense_is_row_major_without_gaps(array: np.ndarray) -> None:
    assert of(array).dense == array.flags.c_contiguous or array.size <= 1


SHAPES = [(120,), (2, 60), (60, 2), (6, 20), (24, 5), (4, 3, 10), (2, 3, 4, 5), (1, 120, 1), (2, 1, 3, 20), (8, 15)]


@pytest.mark.parametrize("array", [v for v in views() if v.size == 120], ids=lambda a: f"{a.shape}/{a.strides}")
@pytest.mark.parametrize("shape", SHAPES)
def test_reshape_makes_a_view_exactly_where_numpy_does(array: np.ndarray, shape: tuple[int, ...]) -> None:
    strides = reshaped_strides(of(array), shape)
    try:
        wanted = array.view()
        wanted.shape = shape
    except AttributeError:
        assert strides is None
        return
    assert strides is not None
    got = np.lib.stride_tricks.as_strided(array, shape, [s * array.itemsize for s in strides])
    np.testing.assert_array_equal(got, wanted)


def test_reshape_of_nothing_and_of_one_element() -> None:
    assert reshaped_strides(dense(F4, (0, 3)), (3, 0, 5)) is not None
    assert reshaped_strides(layout_of(F4, (1, 1), (7, 9)), ()) == ()


@pytest.mark.parametrize("array", views(), ids=lambda a: f"{a.shape}/{a.strides}")
def test_collapse_walks_over_the_same_elements(array: np.ndarray) -> None:
    other = np.zeros(array.shape, array.dtype)
    sizes, (steps, _) = collapse(array.shape, [of(array).strides, of(other).strides])
    assert len(sizes) >= 1 and all(n != 1 for n in sizes if sizes != (1,))
    walked = np.lib.stride_tricks.as_strided(array, sizes, [s * array.itemsize for s in steps])
    np.testing.assert_array_equal(walked.ravel(), array.ravel())


def test_collapse_merges_what_can_be_merged() -> None:
    assert collapse((2, 3, 4), [(12, 4, 1)]) == ((24,), ((1,),))
    assert collapse((2, 3, 4), [(12, 4, 1), (4, 0, 1)])[0] == (2, 3, 4)
    assert collapse((2, 3, 4), [(12, 4, 1), (12, 4, 1), (0, 0, 0)])[0] == (24,)
    assert collapse((), [()]) == ((1,), ((0,),))


def test_broadcasting() -> None:
    assert broadcast([(3, 1), (1, 4), ()]) == (3, 4) == np.broadcast_shapes((3, 1), (1, 4), ())
    assert broadcast([(0,), (1,)]) == (0,)
    assert broadcast_strides(dense(F4, (3, 1)), (2, 3, 4)) == (0, 1, 0)
    assert broadcast_strides(dense(F4, (1,)), (1,)) == (1,)


def test_positions_leave_32_bits_where_they_must() -> None:
    assert reaches((3, 4), (-100, 1)) == 203
    assert not needs_64(1 << 20, (1 << 20,), [(1,)])
    assert needs_64(1 << 31, (1 << 31,), [(1,)])
    assert needs_64(4, (2, 2), [(1 << 31, 1)])
    assert needs_64(4, (2, 2), [(1, 1), (-(1 << 31), 1)])
