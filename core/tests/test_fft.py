"""Fourier transforms: values against NumPy, derivatives, batches, sizes, norms, errors."""

import itertools

import numpy as np
import pytest

import plugrad as pg
from plugrad import fft
from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import check_derivatives, check_vmap

NORMS = ("backward", "ortho", "forward")
R = np.random.default_rng(5)


def real(*shape):
    return R.normal(size=shape)


def cplx(*shape):
    return R.normal(size=shape) + 1j * R.normal(size=shape)


ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
MANY = ("fftn", "ifftn", "rfftn", "irfftn")
REAL = ("rfft", "ihfft", "rfftn")


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [None, 1, 2, 5, 6, 9])
@pytest.mark.parametrize("name", ONE)
def test_values_along_one_axis(name, n, norm):
    for axis, size in itertools.product((0, 1, -1), (4, 5)):
        shape = (size, 3) if axis == 0 else (3, size)
        x = real(*shape) if name in REAL else cplx(*shape)
        got = getattr(fft, name)(pg.asarray(x), n=n, axis=axis, norm=norm)
        wanted = getattr(np.fft, name)(x, n, axis=axis, norm=norm)
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("s", "axes"), [(None, None), (None, (0, 2)), (None, (-1, 0)), ((4, 2), (2, 0)), ((3, 6), (0, 1)), ((1,), (1,))]
)
@pytest.mark.parametrize("name", MANY)
def test_values_along_several_axes(name, s, axes, norm):
    x = real(2, 3, 5) if name in REAL else cplx(2, 3, 5)
    got = getattr(fft, name)(pg.asarray(x), s=s, axes=axes, norm=norm)
    wanted = getattr(np.fft, name)(x, s, axes, norm)
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-12, atol=1e-12)


def test_sizes_without_axes_are_those_of_the_last_axes():
    x = cplx(2, 3, 5)
    np.testing.assert_allclose(
        fft.fftn(pg.asarray(x), s=(2, 4)).numpy(), np.fft.fftn(x, (2, 4), (1, 2)), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    ("given", "name", "wanted"),
    [
        ("float32", "fft", "complex64"),
        ("complex64", "ifftn", "complex64"),
        ("float64", "rfft", "complex128"),
        ("float32", "rfftn", "complex64"),
        ("complex64", "irfft", "float32"),
        ("float32", "irfftn", "float32"),
        ("complex128", "hfft", "float64"),
        ("float32", "ihfft", "complex64"),
    ],
)
def test_precision_is_kept(given, name, wanted):
    x = pg.asarray(real(3, 4).astype(given))
    got = getattr(fft, name)(x)
    assert got.dtype == wanted
    np.testing.assert_allclose(got.numpy(), getattr(np.fft, name)(x.numpy()), rtol=1e-5, atol=1e-5)


CASES = {
    "fft": (lambda x: fft.fft(x, axis=0), "fc"),
    "fft_padded": (lambda x: fft.fft(x, n=7, norm="ortho"), "fc"),
    "ifft_trimmed": (lambda x: fft.ifft(x, n=3), "fc"),
    "fftn": (lambda x: fft.fftn(x, s=(4, 2), axes=(1, 0), norm="forward"), "fc"),
    "ifftn": (fft.ifftn, "fc"),
    "rfft_even": (lambda x: fft.rfft(x, n=6), "f"),
    "rfft_odd": (lambda x: fft.rfft(x, n=5, norm="ortho"), "f"),
    "rfft_one": (lambda x: fft.rfft(x, n=1), "f"),
    "rfftn": (lambda x: fft.rfftn(x, norm="forward"), "f"),
    "irfft_even": (lambda x: fft.irfft(x, n=8), "fc"),
    "irfft_odd": (lambda x: fft.irfft(x, n=7, axis=0, norm="ortho"), "fc"),
    "irfft_two": (lambda x: fft.irfft(x, n=2), "fc"),
    "irfft_one": (lambda x: fft.irfft(x, n=1), "fc"),
    "irfftn": (lambda x: fft.irfftn(x, s=(2, 5), axes=(0, 1)), "fc"),
    "hfft": (lambda x: fft.hfft(x, n=9, norm="ortho"), "fc"),
    "ihfft": (lambda x: fft.ihfft(x, norm="forward"), "f"),
    "filtered": (lambda x: fft.irfft(fft.rfft(x) * (1 + 2j), n=5) * x, "f"),
}
EVERY = [(name, kind) for name, (_, kinds) in CASES.items() for kind in kinds]


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_derivatives(name, kind):
    check_derivatives(CASES[name][0], pg.asarray(real(4, 5) if kind == "f" else cplx(4, 5)))


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_vmap(name, kind):
    f, x = CASES[name][0], pg.asarray(real(4, 5) if kind == "f" else cplx(4, 5))
    check_vmap(f, x)
    check_vmap(pg.grad(lambda x: pg.sum(pg.abs(f(x)) ** 2)), x, tolerance=1e-10)


def test_the_energy_of_a_transform():
    """Parseval: the gradient of half the energy is the signal itself."""
    for x in (real(3, 4), cplx(3, 4)):
        g = pg.grad(lambda x: pg.sum(pg.abs(fft.fftn(x, norm="ortho")) ** 2) * 0.5)(pg.asarray(x))
        np.testing.assert_allclose(g.numpy(), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_there_and_back(n):
    x = pg.asarray(real(n, n))
    for there, back in ((fft.rfft, fft.irfft), (fft.ihfft, fft.hfft)):
        np.testing.assert_allclose(back(there(x), n=n).numpy(), x.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fft.irfftn(fft.rfftn(x), s=(n, n), axes=(0, 1)).numpy(), x.numpy(), atol=1e-12)
    np.testing.assert_allclose(pg.real(fft.ifftn(fft.fftn(x))).numpy(), x.numpy(), rtol=1e-12, atol=1e-12)


def test_batches_without_examples():
    assert fft.fft(pg.zeros((0, 4))).shape == (0, 4)
    assert fft.rfft(pg.zeros((0, 4))).shape == (0, 3)
    assert fft.irfft(pg.zeros((0, 3))).shape == (0, 4)
    assert fft.fft(pg.zeros((3, 0)), n=2).tolist() == [[0, 0]] * 3
    assert fft.fftn(pg.ones(2), axes=()).tolist() == [1, 1]


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_frequencies_and_order(n):
    for name in ("fftfreq", "rfftfreq"):
        got = getattr(fft, name)(n, d=0.3, dtype="float64")
        np.testing.assert_allclose(got.numpy(), getattr(np.fft, name)(n, 0.3), rtol=1e-15)
        assert getattr(fft, name)(n).dtype == "float32"
    x = real(n, 3)
    for name, axes in itertools.product(("fftshift", "ifftshift"), (None, 0, -1, (0, 1), [1])):
        got = getattr(fft, name)(pg.asarray(x), axes=axes)
        np.testing.assert_array_equal(got.numpy(), getattr(np.fft, name)(x, axes))
    check_derivatives(fft.fftshift, pg.asarray(x))


def test_staged_equals_eager():
    x = pg.asarray(real(4, 6))
    g = pg.grad(lambda x: pg.sum(pg.abs(fft.rfftn(x)) ** 2))
    np.testing.assert_allclose(pg.stage(g, x)(x).numpy(), g(x).numpy())


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: fft.fft(pg.ones(3, dtype="int64")), DTypeError, "fft: not defined for int64; cast.*float32"),
        (lambda: fft.fft(pg.ones(3, dtype="float16")), DTypeError, "fft: not defined for float16; cast.*float32"),
        (lambda: fft.rfft(pg.ones(3, dtype="complex64")), DTypeError, "rfft: not defined for complex64; cast.*float32"),
        (lambda: fft.fft(pg.ones(3), norm="none"), ValueError, "fft: norm 'none' is unknown; use 'backward'"),
        (lambda: fft.hfft(pg.ones(3), norm="none"), ValueError, "hfft: norm 'none' is unknown; use 'backward'"),
        (lambda: fft.fft(pg.ones(3), n=0), ShapeError, "fft: 0 elements along axis 0 of shape \\(3,\\).*at least 1"),
        (lambda: fft.fft(pg.ones((3, 0))), ShapeError, "fft: 0 elements along axis 1 of shape \\(3, 0\\).*at least 1"),
        (lambda: fft.irfft(pg.ones(1)), ShapeError, "irfft: 0 elements along axis 0.*at least 1"),
        (lambda: fft.irfft(pg.ones(3), n=-1), ShapeError, "irfft: .*-1"),
        (lambda: fft.fft(pg.ones(3), axis=1), ShapeError, "fft: axis 1 is out of range"),
        (lambda: fft.fft(pg.asarray(1.0)), ShapeError, "fft: axis -1 is out of range for 0 dimensions"),
        (lambda: fft.fftn(pg.ones((2, 2)), axes=(0, 0)), ShapeError, "fftn: axis .* twice"),
        (lambda: fft.fftn(pg.ones((2, 2)), s=(2,), axes=(0, 1)), ShapeError, "fftn: 1 sizes .* for 2 axes"),
        (lambda: fft.rfftn(pg.ones((2, 2)), axes=()), ShapeError, "rfftn: needs at least one axis"),
        (lambda: fft.irfftn(pg.asarray(1j)), ShapeError, "irfftn: needs at least one axis"),
        (lambda: fft.fftfreq(0), ShapeError, "fftfreq: n is 0; it must be at least 1"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
