"""matmul against NumPy: every tile edge, all strides, batches that broadcast, shortcuts, integers, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad.errors import DTypeError, ShapeError


def close(got: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Against float64 or wider, to the rounding of sums of that length."""
    wide = np.longdouble if a.dtype == np.float64 else np.float64
    exact = a.astype(wide) @ b.astype(wide)
    scale = np.abs(a).astype(wide) @ np.abs(b).astype(wide)
    assert got.shape == exact.shape and got.dtype == a.dtype
    assert (np.abs(got - exact) <= 2 * np.finfo(a.dtype).eps * np.sqrt(a.shape[-1] + 1) * scale).all()


def test_every_tile_edge(call: Any, rng: Any, floating: Any) -> None:
    for m in (*range(1, 15), 31):
        for n in (*range(1, 19), 31, 32, 33, 47):
            a, b = rng.normal(size=(m, 5)).astype(floating), rng.normal(size=(5, n)).astype(floating)
            close(call("matmul", a, b), a, b)
            close(call("matmul", np.asfortranarray(a), np.asfortranarray(b)), a, b)


@pytest.mark.parametrize(
    ("m", "k", "n"),
    [
        (1, 1, 1), (1, 1000, 1), (1, 300, 70), (70, 300, 1), (5, 1, 7), (64, 64, 64), (7, 513, 9), (350, 20, 30),
        (30, 257, 520), (13, 700, 800), (340, 260, 1030),
        (700, 300, 70), (720, 300, 1100), (700, 20, 3300),
    ],
)  # fmt: skip
def test_sizes_cross_every_block(m: int, k: int, n: int, call: Any, rng: Any, floating: Any) -> None:
    a, b = rng.normal(size=(m, k)).astype(floating), rng.normal(size=(k, n)).astype(floating)
    for x in (a, np.asfortranarray(a)):
        for y in (b, np.asfortranarray(b)):
            close(call("matmul", x, y), a, b)


def test_more_columns_than_a_block(call: Any, rng: Any, floating: Any) -> None:
    a, b = rng.normal(size=(20, 270)).astype(floating), rng.normal(size=(270, 3500)).astype(floating)
    close(call("matmul", a, b), a, b)
    close(call("matmul", a, np.asfortranarray(b)), a, b)


def test_layouts(call: Any, kit: Any, rng: Any, floating: Any, layout: str) -> None:
    for shape in ((7, 9, 11), (20, 300, 40)):
        m, k, n = shape
        a, b = rng.normal(size=(m, k)).astype(floating), rng.normal(size=(k, n)).astype(floating)
        close(call("matmul", kit.laid_out(a, layout), b), a, b)
        close(call("matmul", a, kit.laid_out(b, layout)), a, b)
    v = rng.normal(size=(9, 1)).astype(floating)
    a = rng.normal(size=(7, 9)).astype(floating)
    close(call("matmul", kit.laid_out(a, layout), kit.laid_out(v, layout)), a, v)
    close(call("matmul", kit.laid_out(v.T, layout), kit.laid_out(a.T, layout)), v.T, a.T)


def test_broadcast_rows_and_columns(call: Any, rng: Any, floating: Any) -> None:
    row, column = rng.normal(size=(1, 8)).astype(floating), rng.normal(size=(8, 1)).astype(floating)
    a, b = np.broadcast_to(row, (5, 8)), np.broadcast_to(column, (8, 20))
    close(call("matmul", a, b), a, b)
    c = np.broadcast_to(rng.normal(size=(6, 1)).astype(floating), (6, 8))
    d = np.broadcast_to(rng.normal(size=(1, 9)).astype(floating), (8, 9))
    close(call("matmul", c, d), c, d)


@pytest.mark.parametrize(
    ("lead_a", "lead_b"),
    [
        ((3,), (3,)),
        ((3,), ()),
        ((), (3,)),
        ((2, 3), (3,)),
        ((2, 1), (1, 4)),
        ((1,), (5,)),
        ((0,), (1,)),
        ((2, 3), (2, 3)),
        ((2, 3, 4), ()),
    ],
)
def test_batches_broadcast(lead_a: Any, lead_b: Any, call: Any, kit: Any, rng: Any, floating: Any, layout: str) -> None:
    a = rng.normal(size=(*lead_a, 4, 5)).astype(floating)
    b = rng.normal(size=(*lead_b, 5, 6)).astype(floating)
    if a.size and b.size:
        close(call("matmul", kit.laid_out(a, layout), kit.laid_out(b, layout)), a, b)
    else:
        assert call("matmul", a, b).shape == np.matmul(a, b).shape


def test_empty_operands(call: Any, number: Any) -> None:
    for m, k, n in ((0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)):
        np.testing.assert_array_equal(
            call("matmul", np.ones((m, k), number), np.ones((k, n), number)), np.full((m, n), 0, number)
        )


def test_nothing_leaks_from_padding(call: Any, floating: Any) -> None:
    """Padded columns hold zeros, and zero times infinity is not a number: none of it may reach the result."""
    a = np.full((7, 3), np.inf, floating)
    b = np.ones((3, 5), floating)
    assert (call("matmul", a, b) == np.inf).all()
    b[0, 0] = np.nan
    got = call("matmul", np.ones((7, 3), floating), b)
    assert np.isnan(got[:, 0]).all() and (got[:, 1:] == 3).all()


def test_integers_are_exact_and_wrap(call: Any, kit: Any, rng: Any, layout: str) -> None:
    for dtype in kit.INTS:
        a, b = kit.sample(rng, (2, 5, 6), dtype), kit.sample(rng, (6, 7), dtype)
        np.testing.assert_array_equal(call("matmul", kit.laid_out(a, layout), kit.laid_out(b, layout)), a @ b)
        top = np.full((2, 2), np.iinfo(dtype).max, dtype)
        np.testing.assert_array_equal(call("matmul", top, top), top @ top)


def test_shapes_and_dtypes_that_do_not_fit_raise(call: Any) -> None:
    with pytest.raises(ShapeError, match=r"matmul: shapes \(2, 3\) and \(4, 5\) do not fit"):
        call("matmul", np.zeros((2, 3)), np.zeros((4, 5)))
    with pytest.raises(ShapeError, match="leading axes"):
        call("matmul", np.zeros((2, 2, 3)), np.zeros((3, 3, 5)))
    with pytest.raises(ShapeError, match="at least 2 axes"):
        call("matmul", np.zeros(3), np.zeros((3, 3)))
    with pytest.raises(DTypeError, match="matmul"):
        call("matmul", np.zeros((2, 3)), np.zeros((3, 4), np.float32))
    with pytest.raises(DTypeError, match="matmul"):
        call("matmul", np.zeros((2, 3), bool), np.zeros((3, 4), bool))
