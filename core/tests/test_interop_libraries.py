"""What libraries written for NumPy or for the Array API do with an array: numbers, shapes, dtypes, devices and fill
values as tensors or NumPy's objects, NumPy's reductions, and writes by masks and positions.
"""

import operator

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ArgumentError, RecordingError

A = np.array([[1.0, 4.0, 2.0], [8.0, 5.0, 7.0]])
REDUCTIONS = [np.sum, np.prod, np.max, np.min, np.mean, np.var, np.std]


@pytest.mark.parametrize("f", [*REDUCTIONS, np.any, np.all], ids=lambda f: f.__name__)
@pytest.mark.parametrize("words", [{}, {"axis": 0}, {"axis": (0, 1), "keepdims": True}], ids=str)
def test_reductions_of_numpy_give_tensors(f, words):
    out = f(pg.asarray(A), **words)
    assert type(out) is pg.Tensor
    np.testing.assert_allclose(out.numpy(), f(A, **words), strict=True)


@pytest.mark.parametrize("f", REDUCTIONS, ids=lambda f: f.__name__)
def test_reductions_of_numpy_keep_the_gradient(f):
    x = pg.asarray(A).requires_grad_()
    f(x).backward()
    expected = pg.grad(lambda x: getattr(pg, f.__name__)(x))(pg.asarray(A)).numpy()
    assert np.any(expected)
    np.testing.assert_allclose(x.grad.numpy(), expected)


def test_their_dtypes_and_corrections():
    n = pg.asarray([1, 2, 4])
    for f in (np.sum, np.prod, np.mean, np.var, np.std):
        out = f(n, dtype=np.float32)
        assert out.dtype == np.float32
        np.testing.assert_allclose(out.numpy(), f(n.numpy(), dtype=np.float64), rtol=1e-6)
    x = pg.asarray(A)
    for f in (np.var, np.std):
        for words in ({"ddof": 1}, {"correction": 1}):
            np.testing.assert_allclose(f(x, axis=1, **words).numpy(), f(A, axis=1, **words))
        with pytest.raises(ArgumentError, match=f"{f.__name__}: correction=1 and ddof=2"):
            getattr(pg, f.__name__)(x, correction=1, ddof=2)


@pytest.mark.parametrize("f", [*REDUCTIONS, np.any, np.all], ids=lambda f: f.__name__)
def test_they_write_nowhere(f):
    target = np.zeros(())
    with pytest.raises(ArgumentError, match=rf"{f.__name__}: a ndarray as out= cannot be written into"):
        f(pg.asarray(A), out=target)
    assert target == 0


def test_functions_of_numpy_that_look_for_attributes():
    z = np.array([[1 + 2j], [3 - 1j]])
    for f in (np.real, np.imag, np.squeeze):
        for array in (z, A[:, :1]):
            out = f(pg.asarray(array))
            assert type(out) is pg.Tensor
            np.testing.assert_array_equal(out.numpy(), f(array), strict=True)
    np.testing.assert_allclose(np.angle(pg.asarray(z)), np.angle(z))
    assert pg.grad(lambda x: np.sum(np.real(x * x) + np.imag(x)))(pg.asarray([3.0])).tolist() == [6.0]


def test_parts_of_a_complex_tensor_are_attributes():
    z = pg.asarray([1 + 2j, 3 - 1j])
    assert (z.real.tolist(), z.imag.tolist()) == ([1.0, 3.0], [2.0, -1.0])
    assert (z.real.dtype, z.real.imag.tolist()) == (np.float32, [0.0, 0.0])
    assert pg.grad(lambda z: pg.sum(z.real * z.imag))(z).tolist() == [2 + 1j, -1 + 3j]


def test_squeeze_of_everything():
    x = pg.zeros((1, 2, 1, 3))
    assert x.squeeze().shape == pg.squeeze(x).shape == (2, 3)
    assert x.squeeze(axis=0).shape == (2, 1, 3) and pg.zeros(()).squeeze().shape == pg.zeros((1, 1)).squeeze().shape


ONES = {"tensor": pg.asarray(3), "NumPy's integer": np.int64(3), "0-d array": np.array(3), "uint8": np.uint8(3)}


@pytest.mark.parametrize("n", ONES.values(), ids=ONES)
def test_sizes(n):
    for make in (pg.zeros, pg.ones, pg.empty, lambda n: pg.full(n, 2.0), lambda n: pg.eye(n)[0], pg.arange):
        assert make(n).shape == (3,)
    assert pg.zeros((n, 2)).shape == (3, 2) and pg.arange(6).reshape(n, 2).shape == (3, 2)
    assert pg.broadcast_to(pg.zeros(()), n).shape == (3,)
    assert pg.arange(n).dtype == np.int64 and pg.arange(0, n, n).tolist() == [0]
    assert operator.index(n) == 3 and list(range(5)[:n]) == [0, 1, 2] and pg.arange(5)[n].item() == 3


def test_ends_of_ranges():
    assert pg.arange(pg.asarray(0.5), pg.asarray(2.0)).tolist() == [0.5, 1.5]
    assert pg.linspace(pg.asarray(0.0), pg.asarray(1.0), 3).tolist() == [0.0, 0.5, 1.0]


def test_fill_values():
    for value in (pg.asarray(2.5, dtype="float64"), np.float64(2.5), np.array(2.5)):
        out = pg.full((2,), value)
        assert (out.tolist(), out.dtype) == ([2.5, 2.5], np.float64)
        assert pg.full_like(pg.zeros(2), value).tolist() == [2.5, 2.5]


def test_numbers():
    x = pg.asarray(2.25, dtype="float64")
    assert (float(x), int(x), bool(x), complex(x), round(x, 1), f"{x:.1f}") == (2.25, 2, True, 2.25 + 0j, 2.2, "2.2")
    assert operator.index(pg.asarray(3)) == 3 and pg.asarray([x, 1.0]).dtype == np.float64


@pytest.mark.parametrize("array", [A, A.astype("float32"), A.astype("int64"), A[0, 0], [1.0, 2.0]], ids=type)
def test_casts_of_arrays(array):
    out = pg.astype(array, np.float32)
    assert type(out) is pg.Tensor and out.dtype == np.float32
    np.testing.assert_array_equal(out.numpy(), np.asarray(array, "float32"))
    assert type(pg.astype(array, np.asarray(array).dtype, copy=False)) is pg.Tensor


WORDS = [np.float32, np.dtype("float32"), "float32", "f4", pg.float32]


@pytest.mark.parametrize("word", WORDS, ids=str)
def test_dtypes(word):
    x = pg.zeros(2, dtype=word)
    assert x.dtype == pg.asarray(A, dtype=word).dtype == x.astype(word).dtype == pg.astype(x, word).dtype == np.float32
    assert pg.finfo(word).bits == 32 and pg.can_cast(word, np.float64) and pg.isdtype(x.dtype, pg.as_dtype(word))
    assert pg.result_type(word, pg.asarray(A), 1) == np.float64


def test_copies_and_devices():
    x = pg.asarray(A)
    for out in (pg.asarray(x, copy=True), pg.astype(x, x.dtype, copy=True), pg.reshape(x, (6,), copy=True)):
        out[...] = 0
    assert x.tolist() == A.tolist()
    assert pg.asarray(x, copy=False) is x and x.astype(x.dtype, copy=False) is x
    assert (
        x.device == "numpy" and hash(x.device) == hash("numpy") and x.to_device(x.device, stream=None).device == "numpy"
    )
    assert pg.zeros(1, device=None).device == pg.asarray(A, device=x.device).device == "numpy"


def test_integers_beside_floats():
    for one, other, wanted in (
        ("int64", "float32", "float32"),
        ("bool", "float64", "float64"),
        ("uint8", "int8", "int16"),
    ):
        x, y = pg.ones(2, dtype=one), pg.ones(2, dtype=other)
        assert (x + y).dtype == (y * x).dtype == pg.where(x > 0, x, y).dtype == pg.concat([x, y]).dtype == wanted


KEYS = {
    "mask": A > 4,
    "row mask": np.array([True, False]),
    "positions": (np.array([0, 1]), np.array([2, 0])),
    "rows": np.array([1, 0, 1]),
    "mixed": (slice(None), np.array([0, 2])),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("convert", [lambda k: k, pg.asarray], ids=["arrays", "tensors"])
def test_writes_by_masks_and_positions(key, convert):
    ours = tuple(k if isinstance(k, slice) else convert(k) for k in key) if type(key) is tuple else convert(key)
    for value in (0, A[key][..., :1] * 0 + 9 if A[key].ndim > 1 else A[key] + 1):
        x, expected = pg.asarray(A, copy=True), A.copy()
        x[ours], expected[key] = value, value
        np.testing.assert_array_equal(x.numpy(), expected)
        np.testing.assert_array_equal(x[ours].numpy(), expected[key])


def test_the_rest_of_numpy_refuses_what_is_recorded():
    x = pg.asarray(A).requires_grad_()
    for f in (np.cumsum, np.sort, np.argmax, np.median, lambda x: np.clip(x, 0, 1), lambda x: np.sum([x, x])):
        with pytest.raises(RecordingError, match=r"\.detach\(\)"):
            f(x)
