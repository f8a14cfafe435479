"""Linear algebra: values against NumPy and against longer floats, batches, empty matrices, errors."""

import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch
from plugrad import linalg as la
from plugrad.dtypes import CODE
from plugrad.errors import DTypeError, LinAlgError, ShapeError
from plugrad.reference.backend import NumpyBackend

DTYPES = ("float32", "float64", "complex64", "complex128")
R = np.random.default_rng(7)


def matrix(*shape, dtype="float64"):
    x = R.normal(size=shape)
    return (x + 1j * R.normal(size=shape) if dtype.startswith("c") else x).astype(dtype)


def definite(*shape, dtype="float64"):
    x = matrix(*shape, dtype=dtype)
    return (x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(shape[-1])).astype(dtype)


def close(got, wanted, exact=True):
    tolerance = 2e-4 if np.dtype(got.dtype).name in ("float32", "complex64") else 1e-10
    assert got.shape == np.shape(wanted)
    assert got.dtype == wanted.dtype or not exact
    np.testing.assert_allclose(got.numpy(), wanted, rtol=tolerance, atol=tolerance)


def same(f, reference, *xs):
    close(f(*map(pg.asarray, xs)), reference(*xs))


def exponential(x):
    """Taylor's series of ``x / 2**s`` in longer floats, squared s times."""
    wide = np.asarray(x, np.result_type(x.dtype, np.longdouble))
    s = int(np.log2(1 + np.abs(x).sum(axis=-1).max())) + 8
    term = out = np.broadcast_to(np.eye(x.shape[-1], dtype=wide.dtype), x.shape)
    for k in range(1, 16):
        term = term @ (wide / 2**s) / k
        out = out + term
    for _ in range(s):
        out = out @ out
    return out.astype(x.dtype)


BATCHES = [(), (2,), (2, 0), (2, 1, 3)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_square_matrices(n, batch, dtype):
    x, p = matrix(*batch, n, n, dtype=dtype), definite(*batch, n, n, dtype=dtype)
    same(la.cholesky, np.linalg.cholesky, p)
    close(la.cholesky(pg.asarray(p), upper=True), np.conj(np.swapaxes(np.linalg.cholesky(p), -1, -2)))
    for name in ("inv", "det"):
        same(getattr(la, name), getattr(np.linalg, name), x)
    for got, wanted in zip(la.slogdet(pg.asarray(x)), np.linalg.slogdet(x), strict=True):
        close(got, wanted)
    same(la.eigvalsh, np.linalg.eigvalsh, p)
    w, v = map(pg.Tensor.numpy, la.eigh(pg.asarray(p)))
    close(la.eigh(pg.asarray(p)).eigenvalues, np.linalg.eigvalsh(p))
    np.testing.assert_allclose(p @ v, v * w[..., None, :], atol=1e-4 * 10**n)
    values, vectors = la.eig(pg.asarray(x))
    assert values.dtype == vectors.dtype == np.result_type(dtype, np.complex64)
    np.testing.assert_allclose(x @ vectors.numpy(), vectors.numpy() * values.numpy()[..., None, :], atol=1e-4)
    found, wanted = la.eigvals(pg.asarray(x)), np.linalg.eigvals(x).astype(values.dtype)
    close(found, wanted)
    np.testing.assert_allclose(np.sort_complex(found.numpy().ravel()), np.sort_complex(values.numpy().ravel()), 1e-3)
    same(la.expm, lambda x: exponential(x) if x.size else x, x)
    for power in (-2, 0, 1, 6) if n else (0, 3):
        same(lambda x: la.matrix_power(x, power), lambda x: np.linalg.matrix_power(x, power), p)  # noqa: B023


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("m", "n"), [(3, 5), (5, 3), (4, 4), (1, 3), (0, 3), (3, 0), (0, 0)])
def test_any_matrices(m, n, batch, dtype):
    x = matrix(*batch, m, n, dtype=dtype)
    t, k = pg.asarray(x), min(m, n)
    for mode, inner in (("reduced", k), ("complete", m)):
        q, r = la.qr(t, mode=mode)
        assert q.shape == (*batch, m, inner) and r.shape == (*batch, inner, n)
        close(q @ r, x)
        close(pg.conj(q).mT @ q, np.broadcast_to(np.eye(inner, dtype=dtype), (*batch, inner, inner)))
        np.testing.assert_array_equal(r.numpy(), np.triu(r.numpy()))
    for full in (True, False):
        u, s, vh = la.svd(t, full_matrices=full)
        assert u.shape == (*batch, m, m if full else k) and vh.shape == (*batch, n if full else k, n)
        close(s, np.linalg.svdvals(x))
        close(u[..., :k] * s[..., None, :] @ vh[..., :k, :], x)
    same(la.svdvals, np.linalg.svdvals, x)
    same(la.pinv, np.linalg.pinv, x)
    close(la.matrix_rank(t), np.linalg.matrix_rank(x) if k else np.zeros(batch, np.int64))
    for offset in (-6, -2, 0, 1, 6):
        close(la.diagonal(t, offset=offset), np.diagonal(x, offset, -2, -1))
        close(la.trace(t, offset=offset), np.trace(x, offset, -2, -1))
    orders = ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf) if k else ("fro", "nuc")
    for ord, keepdims in [(o, kept) for o in orders for kept in (False, True)]:
        wanted = np.linalg.matrix_norm(x, ord=ord, keepdims=keepdims).astype(s.dtype)
        close(la.matrix_norm(t, ord=ord, keepdims=keepdims), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("one", "two"),
    [((3, 3), (3,)), ((2, 3, 3), (3,)), ((3, 3), (3, 2)), ((2, 1, 3, 3), (4, 3, 2)), ((2, 3, 3), (2, 3, 3)),
     ((0, 0), (0, 2)), ((0, 3, 3), (3, 2)), ((3, 3), (3, 0)), ((3, 3), (0, 3, 2))],
)  # fmt: skip
def test_solving(one, two, dtype):
    a, b = matrix(*one, dtype=dtype), matrix(*two, dtype=dtype)
    close(la.solve(pg.asarray(a), pg.asarray(b)), np.linalg.solve(a, b))
    a = a + 3 * np.eye(one[-1], dtype=dtype)
    for upper in (False, True):
        triangle = np.triu(a) if upper else np.tril(a)
        got = la.solve_triangular(pg.asarray(a), pg.asarray(b), upper=upper)
        close(got, np.linalg.solve(triangle, b))
        unit = triangle * (1 - np.eye(one[-1])) / 8 + np.eye(one[-1])
        other = a * 5 * np.eye(one[-1]) + triangle * (1 - np.eye(one[-1])) / 8
        got = la.solve_triangular(pg.asarray(other.astype(dtype)), pg.asarray(b), upper=upper, unit_diagonal=True)
        close(got, np.linalg.solve(unit.astype(dtype), b))


def test_a_triangle_is_solved_as_exactly_as_by_substitution():
    """Where elimination with pivots would lose all digits."""
    a = np.tril(np.full((40, 40), -1.0)) + 2 * np.eye(40)
    a = a * np.logspace(0, 18, 40)
    x = R.normal(size=40)
    b = a @ x
    wanted = np.zeros(40, np.longdouble)
    for i in range(40):
        wanted[i] = (b[i] - a[i].astype(np.longdouble) @ wanted) / a[i, i]
    got = la.solve_triangular(pg.asarray(a), pg.asarray(b)).numpy()
    np.testing.assert_allclose(got, wanted.astype(float), rtol=1e-12)


@pytest.mark.parametrize("dtype", [*DTYPES, "float16", "bfloat16"])
@pytest.mark.parametrize("ord", [0, 0.5, 1, 2, 3, -1, -2.5, np.inf, -np.inf])
def test_vector_norms(ord, dtype):
    x = matrix(2, 3, 4, dtype=dtype if dtype in DTYPES else "float32")
    x[0, 1, 2] = 0
    t = pg.asarray(x).astype(dtype)
    wide = t.astype("float32").numpy() if dtype not in DTYPES else x
    for axis, keepdims in [(a, k) for a in (None, 0, -1, (0, 2), (2, 1), ()) for k in (False, True)]:
        got = la.vector_norm(t, axis=axis, keepdims=keepdims, ord=ord)
        with np.errstate(divide="ignore"):
            wanted = np.linalg.vector_norm(wide, axis=axis, keepdims=keepdims, ord=ord) if axis != () else np.abs(wide)
        assert got.dtype == (np.dtype(x.real.dtype) if dtype in DTYPES else t.dtype)
        assert got.shape == np.shape(wanted)
        if axis != () or ord != 0:
            tolerance = 1e-10 if "64" in got.dtype.name else 1e-5 if dtype in DTYPES else 1e-2
            np.testing.assert_allclose(got.astype("float64").numpy(), wanted, rtol=tolerance)


def test_a_norm_of_low_precision_does_not_overflow():
    assert la.vector_norm(pg.full(100, 1000.0, dtype="float16")).item() == 10000
    assert la.matrix_norm(pg.full((10, 10), 1000.0, dtype="float16")).item() == 10000


@pytest.mark.parametrize("dtype", ["int32", "uint8", *DTYPES])
def test_products(dtype):
    def some(*shape):
        return matrix(*shape, dtype=dtype) if dtype in DTYPES else R.integers(0, 9, shape).astype(dtype)

    same(lambda a, b: la.cross(a, b), lambda a, b: np.linalg.cross(a, b), some(2, 1, 3), some(4, 3))
    same(lambda a, b: la.cross(a, b, axis=0), lambda a, b: np.linalg.cross(a, b, axis=0), some(3, 2), some(3, 1))
    same(la.vecdot, np.linalg.vecdot, some(2, 1, 4), some(3, 4))
    same(lambda a, b: pg.vecdot(a, b, axis=0), lambda a, b: np.vecdot(a, b, axis=0), some(4, 3), some(4, 1))
    for one, two in (((2, 3), (3, 2)), ((2,), (3, 2)), ((2, 3, 2), (2, 2)), ((), (2,)), ((0,), (2,))):
        same(la.kron, np.kron, some(*one), some(*two))
    same(la.matmul, np.matmul, some(2, 3), some(3, 2))
    same(la.outer, np.outer, some(2), some(3))
    same(la.matrix_transpose, np.linalg.matrix_transpose, some(2, 3, 4))
    a, b = some(2, 3), some(3, 2)
    close(la.tensordot(pg.asarray(a), pg.asarray(b), axes=1), np.tensordot(a, b, axes=1))
    assert la.trace(pg.asarray(some(3, 3))).dtype == {"int32": "int64", "uint8": "uint64"}.get(dtype, dtype)
    assert la.trace(pg.asarray(some(3, 3)), dtype="complex128").dtype == "complex128"
    close(la.matrix_power(pg.asarray(some(3, 3)), 0), np.eye(3, dtype=dtype))


def test_the_exponential_of_large_and_small_matrices():
    for scale in (1e-8, 1.0, 30.0):
        x = matrix(6, 6) * scale
        wanted = [exponential(x), exponential(x * 1e-3)]
        close(la.expm(pg.asarray(np.stack([x, x * 1e-3]))), np.stack(wanted))
    np.testing.assert_allclose(la.expm(pg.asarray([[0.0, -np.pi], [np.pi, 0.0]])).numpy(), -np.eye(2), atol=1e-6)


def test_hermitian_matrices_are_taken_whole():
    """A function of the Hermitian part: both triangles count by half."""
    x = matrix(3, 3, dtype="complex128")
    part = (x + x.conj().T) / 2
    close(la.eigvalsh(pg.asarray(x)), np.linalg.eigvalsh(part))
    close(la.cholesky(pg.asarray(x + 9 * np.eye(3))), np.linalg.cholesky(part + 9 * np.eye(3)))


def test_ranks_and_tolerances():
    x = pg.asarray(np.stack([np.diag([1.0, 0.1]), np.diag([1.0, 0.0])]))
    assert la.matrix_rank(x).tolist() == [2, 1]
    assert la.matrix_rank(x, rtol=0.5).tolist() == [1, 1]
    assert la.matrix_rank(x, rtol=pg.asarray([0.5, 0.01])).tolist() == [1, 1]
    assert la.matrix_rank(pg.zeros((3, 2))).item() == 0
    assert la.pinv(x, rtol=0.5).tolist() == [[[1.0, 0.0], [0.0, 0.0]]] * 2


def test_results_have_names_and_are_trees():
    x = pg.asarray(definite(3, 3))
    assert la.svd(x)._fields == ("U", "S", "Vh")
    assert la.qr(x)._fields == ("Q", "R")
    assert la.slogdet(x)._fields == ("sign", "logabsdet")
    assert la.eigh(x)._fields == la.eig(x)._fields == ("eigenvalues", "eigenvectors")
    assert type(pg.vmap(la.svd)(pg.stack([x, x]))) is la.SVDResult


def test_lists_and_mixed_dtypes():
    assert la.det([[2.0, 0.0], [0.0, 3.0]]).item() == 6.0
    assert la.solve(pg.asarray([[2.0]]), pg.asarray([[1]])).dtype == "float32"
    assert la.solve(pg.asarray([[2.0]]), np.asarray([[1.0]])).dtype == "float64"
    assert la.solve(pg.asarray([[2.0]]), pg.asarray([1j])).tolist() == [0.5j]


def test_the_modules_can_be_imported():
    code = "import plugrad.linalg, plugrad.fft, plugrad.random; from plugrad.linalg import svd; "
    code += "from plugrad.fft import rfft; from plugrad.random import key; assert svd is plugrad.linalg.svd; "
    code += "assert rfft is plugrad.fft.rfft and key is plugrad.random.key"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(callable(getattr(m, name)) for m in (la, pg.fft, pg.random) for name in m.__all__)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: la.inv(pg.ones((2, 3))), ShapeError, "inv: matrices of shape \\(2, 3\\) are not square"),
        (lambda: la.det(pg.ones(3)), ShapeError, "det: shape \\(3,\\) is no matrix"),
        (lambda: la.cholesky(pg.ones((2, 3))), ShapeError, "cholesky: matrices of shape"),
        (lambda: la.eigh(pg.ones(2)), ShapeError, "eigh: shape \\(2,\\) is no matrix"),
        (lambda: la.svd(pg.ones(2)), ShapeError, "svd: shape \\(2,\\) is no matrix"),
        (lambda: la.matrix_power(pg.ones((2, 3)), 2), ShapeError, "matrix_power: matrices of shape"),
        (lambda: la.diagonal(pg.ones(3)), ShapeError, "diagonal: shape \\(3,\\) is no matrix"),
        (lambda: la.matrix_norm(pg.ones(3)), ShapeError, "matrix_norm: shape \\(3,\\) is no matrix"),
        (lambda: la.solve(pg.ones((3, 3)), pg.ones((2, 2))), ShapeError, "solve: .*b must have 3 rows"),
        (lambda: la.solve(pg.ones((2, 3, 3)), pg.ones((4, 3, 1))), ShapeError, "solve: shapes .* do not broadcast"),
        (lambda: la.cross(pg.ones(2), pg.ones(2)), ShapeError, "cross: axis -1 of shapes .*3 elements"),
        (lambda: la.vecdot(pg.ones(2), pg.ones(1)), ShapeError, "vecdot: shapes"),
        (lambda: la.pinv(pg.ones((2, 2)), rtol=[0.1, 0.1]), ShapeError, "pinv: rtol of shape \\(2,\\)"),
        (lambda: la.inv(pg.eye(2, dtype="int64")), DTypeError, "inv: not defined for int64; cast with .astype\\(\\)"),
        (lambda: la.svd(pg.eye(2, dtype="int64")), DTypeError, "svd: not defined for int64; cast with .astype\\(\\)"),
        (lambda: la.eigh(pg.eye(2, dtype="float16")), DTypeError, "eigh: not defined for float16; cast with"),
        (lambda: la.matrix_rank(pg.eye(2, dtype="int64")), DTypeError, "matrix_rank: not defined for int64; cast"),
        (lambda: la.vector_norm(pg.ones(2, dtype="int64")), DTypeError, "vector_norm: not defined for int64; cast"),
        (lambda: la.solve(pg.ones((1, 1), dtype="bool"), pg.ones(1, dtype="bool")), DTypeError, "solve: not defined"),
        (lambda: la.qr(pg.ones((2, 2)), mode="r"), ValueError, "qr: mode 'r' is unknown; use 'reduced'"),
        (lambda: la.matrix_norm(pg.ones((2, 2)), ord=3), ValueError, "matrix_norm: ord 3 is unknown; use 'fro'"),
        (lambda: la.inv(pg.ones((2, 2))), LinAlgError, "inv: singular matrix; .*pinv"),
        (lambda: la.solve(pg.ones((2, 2)), pg.ones(2)), LinAlgError, "solve: singular matrix; .*pinv"),
        (lambda: la.matrix_power(pg.zeros((2, 2)), -1), LinAlgError, "matrix_power: singular matrix"),
        (lambda: la.solve_triangular(pg.zeros((2, 2)), pg.ones(2)), LinAlgError, "solve_triangular: .*zeros"),
        (lambda: la.cholesky(-pg.eye(2)), LinAlgError, "cholesky: .*positive definite; .*identity"),
        (lambda: la.eig(pg.full((2, 2), np.nan)), LinAlgError, "eig: .*NaN"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_users_catch_the_errors_of_numpy():
    with pytest.raises(np.linalg.LinAlgError):
        la.inv(pg.zeros((2, 2)))
    with pytest.raises(ValueError):
        la.inv(pg.zeros((2, 2)))


class Small(NumpyBackend):
    """A backend without complex numbers and without kernels of this family."""

    name = "small"
    dtypes = "b1 i8 u4 f4 f8"
    kernels: ClassVar = {
        name: kernel for name, kernel in NumpyBackend.kernels.items() if name in ("add", "mul", "cast")
    }
    into: ClassVar = {}


SMALL = dispatch.add_backend(Small())


@pytest.mark.filterwarnings("ignore::plugrad.errors.FallbackWarning")
def test_a_backend_without_complex_numbers_says_so():
    x = pg.asarray(definite(3, 3), device="numpy").numpy()
    small = pg.Tensor(x, SMALL, CODE[x.dtype], x.shape, "0")
    np.testing.assert_allclose(la.inv(small).numpy(), np.linalg.inv(x))
    for f in (la.eig, la.eigvals, pg.fft.rfft):
        with pytest.raises(DTypeError, match=f"{f.__name__}: small does not store complex128; use .* another device"):
            f(small)
    with pytest.raises(DTypeError, match="rfft: small does not store complex128"):  # not when the graph runs
        pg.stage(pg.fft.rfft, small)


@pytest.mark.parametrize("name", ["svd", "svdvals", "eigh", "eigvalsh", "eigvals", "pinv", "qr", "inv", "det", "expm"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_ends_in_an_error_or_in_nan(name, value):
    try:
        found = getattr(la, name)(pg.full((3, 3), value))
    except LinAlgError as error:
        assert str(error).startswith(f"{name}: ")
    else:
        assert not all(np.isfinite(t.numpy()).all() for t in (found if isinstance(found, tuple) else (found,)))
