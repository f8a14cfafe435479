"""Derivatives of linear algebra, real and complex: against differences and one another, batched, second order, and
where they are degenerate.
"""

import numpy as np
import pytest

import plugrad as pg
from plugrad import linalg as la
from plugrad.errors import LinAlgError
from plugrad.testing import check_derivatives, check_vmap


def matrix(*shape, kind="f", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return x + 1j * rng.normal(size=shape) if kind == "c" else x


def definite(n, kind, seed=0):
    x = matrix(n, n, kind=kind, seed=seed)
    return x @ x.conj().T + 0.5 * np.eye(n)


def spread(m, n, kind, seed=0):
    """A matrix whose singular values are far from one another."""
    u, _, vh = np.linalg.svd(matrix(m, n, kind=kind, seed=seed), full_matrices=False)
    return u * (0.7 + np.arange(min(m, n))[::-1]) @ vh


def moduli(x):
    return pg.real(x * pg.conj(x))


def projectors(v):
    """What of vectors as columns does not depend on their phases."""
    return v[..., :, None, :] * pg.conj(v)[..., None, :, :]


def of_eigh(x):
    w, v = la.eigh(x)
    return w, projectors(v), (v * pg.sin(w)[..., None, :]) @ pg.conj(v).mT


def of_eig(x):
    w, v = la.eig(x)
    return w, moduli(v), (v * pg.exp(w)[..., None, :]) @ la.inv(v)


def of_svd(x):
    u, s, vh = la.svd(x, full_matrices=False)
    return s, projectors(u), projectors(pg.conj(vh).mT), u * pg.cos(s)[..., None, :] @ vh


SQUARE, WIDE, TALL = (3, 3), (3, 5), (5, 3)
CASES = {
    "cholesky": (la.cholesky, lambda k: [definite(3, k)]),
    "cholesky_upper": (lambda x: la.cholesky(x, upper=True), lambda k: [definite(3, k)]),
    "solve": (la.solve, lambda k: [matrix(3, 3, kind=k), matrix(3, 2, kind=k, seed=1)]),
    "solve_vector": (la.solve, lambda k: [matrix(2, 3, 3, kind=k), matrix(3, kind=k, seed=1)]),
    "solve_broadcast": (la.solve, lambda k: [matrix(2, 1, 3, 3, kind=k), matrix(4, 3, 2, kind=k, seed=1)]),
    "lower": (la.solve_triangular, lambda k: [spread(3, 3, k) + 2 * np.eye(3), matrix(3, 2, kind=k, seed=1)]),
    "upper": (
        lambda a, b: la.solve_triangular(a, b, upper=True),
        lambda k: [spread(3, 3, k) + 2 * np.eye(3), matrix(3, kind=k, seed=1)],
    ),
    "unit": (
        lambda a, b: la.solve_triangular(a, b, unit_diagonal=True),
        lambda k: [matrix(3, 3, kind=k), matrix(3, 2, kind=k, seed=1)],
    ),
    "inv": (la.inv, lambda k: [matrix(2, 3, 3, kind=k)]),
    "pinv_tall": (la.pinv, lambda k: [matrix(*TALL, kind=k)]),
    "pinv_wide": (la.pinv, lambda k: [matrix(*WIDE, kind=k)]),
    "det": (la.det, lambda k: [matrix(2, 3, 3, kind=k)]),
    "slogdet": (la.slogdet, lambda k: [matrix(2, 3, 3, kind=k)]),
    "qr_square": (la.qr, lambda k: [matrix(*SQUARE, kind=k)]),
    "qr_tall": (la.qr, lambda k: [matrix(*TALL, kind=k)]),
    "qr_wide": (la.qr, lambda k: [matrix(*WIDE, kind=k)]),
    "eigh": (of_eigh, lambda k: [matrix(2, 3, 3, kind=k)]),
    "eigvalsh": (la.eigvalsh, lambda k: [matrix(2, 3, 3, kind=k)]),
    "eig": (of_eig, lambda k: [matrix(*SQUARE, kind=k, seed=3)]),
    "eigvals": (la.eigvals, lambda k: [matrix(*SQUARE, kind=k, seed=3)]),
    "svd_square": (of_svd, lambda k: [spread(*SQUARE, k)]),
    "svd_tall": (of_svd, lambda k: [spread(*TALL, k)]),
    "svd_wide": (of_svd, lambda k: [spread(*WIDE, k)]),
    "svdvals": (la.svdvals, lambda k: [spread(*WIDE, k)]),
    "expm": (la.expm, lambda k: [matrix(*SQUARE, kind=k)]),
    "matrix_power": (lambda x: la.matrix_power(x, 5), lambda k: [matrix(*SQUARE, kind=k)]),
    "matrix_power_negative": (lambda x: la.matrix_power(x, -3), lambda k: [spread(*SQUARE, k)]),
    "norm_fro": (la.matrix_norm, lambda k: [matrix(2, *WIDE, kind=k)]),
    "norm_nuc": (lambda x: la.matrix_norm(x, ord="nuc"), lambda k: [spread(*TALL, k)]),
    "norm_2": (lambda x: la.matrix_norm(x, ord=2), lambda k: [spread(*WIDE, k)]),
    "norm_-2": (lambda x: la.matrix_norm(x, ord=-2), lambda k: [spread(*WIDE, k)]),
    "norm_1": (lambda x: la.matrix_norm(x, ord=1), lambda k: [matrix(*WIDE, kind=k)]),
    "norm_-inf": (lambda x: la.matrix_norm(x, ord=-np.inf), lambda k: [matrix(*WIDE, kind=k)]),
    "vector_norm": (lambda x: la.vector_norm(x, axis=1, keepdims=True), lambda k: [matrix(*WIDE, kind=k)]),
    "vector_norm_3": (lambda x: la.vector_norm(x, axis=0, ord=3), lambda k: [matrix(*WIDE, kind=k)]),
    "vector_norm_-1.5": (lambda x: la.vector_norm(x, ord=-1.5), lambda k: [matrix(*WIDE, kind=k)]),
    "vector_norm_inf": (lambda x: la.vector_norm(x, axis=(0, 1), ord=np.inf), lambda k: [matrix(*WIDE, kind=k)]),
    "cross": (la.cross, lambda k: [matrix(2, 1, 3, kind=k), matrix(4, 3, kind=k, seed=1)]),
    "kron": (la.kron, lambda k: [matrix(2, 3, kind=k), matrix(2, kind=k, seed=1)]),
    "vecdot": (
        lambda a, b: la.vecdot(a, b, axis=-2),
        lambda k: [matrix(3, 2, kind=k), matrix(4, 3, 2, kind=k, seed=1)],
    ),
    "diagonal": (lambda x: la.diagonal(x, offset=-1), lambda k: [matrix(2, *TALL, kind=k)]),
    "trace": (lambda x: la.trace(x, offset=1), lambda k: [matrix(2, *WIDE, kind=k)]),
}
KINDS = ("f", "c")
EVERY = [(name, kind) for name in CASES for kind in KINDS]


def given(name, kind):
    f, make = CASES[name]
    return f, [pg.asarray(a) for a in make(kind)]


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_derivatives(name, kind):
    f, xs = given(name, kind)
    check_derivatives(f, *xs, order=2)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_vmap(name, kind):
    f, xs = given(name, kind)
    check_vmap(f, *xs, tolerance=1e-9)


def weighted(f, xs):
    """A real function of everything that ``f`` gives."""

    def total(*xs):
        found = f(*xs)
        parts = found if isinstance(found, tuple) else (found,)
        return sum(pg.sum(pg.real(p) * pg.asarray(np.cos(np.arange(p.size)).reshape(p.shape))) for p in parts)

    return total


@pytest.mark.parametrize(("name", "kind"), [(n, "f") for n in CASES])
def test_vmap_of_the_gradient(name, kind):
    f, xs = given(name, kind)
    check_vmap(pg.grad(weighted(f, xs), tuple(range(len(xs)))), *xs, tolerance=1e-8)


@pytest.mark.parametrize("name", ["cholesky", "qr_tall", "svd_wide", "eigh", "solve_broadcast", "det", "pinv_tall"])
def test_the_hessian_is_symmetric(name):
    f, xs = given(name, "f")
    n = xs[0].size
    h = pg.hessian(lambda x: weighted(f, xs)(x, *xs[1:]))(xs[0]).numpy().reshape(n, n)
    assert np.abs(h).max() > 1e-3
    np.testing.assert_allclose(h, h.T, rtol=1e-7, atol=1e-7 * np.abs(h).max())


@pytest.mark.parametrize("kind", KINDS)
def test_third_derivatives_of_a_determinant(kind):
    x = pg.asarray(matrix(3, 3, kind=kind))
    one, two = [pg.asarray(matrix(3, 3, kind=kind, seed=s)) for s in (1, 2)]

    def second(x):
        return pg.jvp(lambda x: pg.jvp(la.det, (x,), (one,))[1], (x,), (two,))[1]

    check_derivatives(second, x, order=1)


def test_the_third_derivative_of_a_determinant_at_equal_singular_values():
    """det(1 + t e) is 1 + t tr(e) + ... + t^3 det(e)."""
    one, e = pg.asarray(np.eye(3)), pg.asarray(matrix(3, 3))

    def derivative(f):
        return lambda x: pg.jvp(f, (x,), (e,))[1]

    third = derivative(derivative(derivative(la.det)))(one).item()
    assert third == pytest.approx(6 * la.det(e).item())
    backward = derivative(derivative(pg.grad(la.det)))(one)
    assert pg.sum(backward * e).item() == pytest.approx(third)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", [3, 2, 1, 0])
def test_first_and_second_derivatives_of_a_determinant_at_every_rank(rank, kind):
    x = matrix(3, rank, kind=kind) @ matrix(rank, 3, kind=kind, seed=1)
    check_derivatives(la.det, pg.asarray(x), order=2)
    check_derivatives(la.det, pg.asarray(np.stack([x, np.eye(3) + 0 * x, matrix(3, 3, kind=kind)])), order=2)


def test_the_derivative_of_a_singular_determinant_is_the_cofactors():
    g = pg.grad(la.det)(pg.asarray([[1.0, 2.0], [2.0, 4.0]], dtype="float64"))
    np.testing.assert_allclose(g.numpy(), [[4.0, -2.0], [-2.0, 1.0]], atol=1e-14)
    exact = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 6.0]]
    np.testing.assert_allclose(pg.grad(la.det)(pg.asarray(np.diag([2.0, 3.0, 0.0]))).numpy(), exact, atol=1e-14)
    assert pg.grad(lambda x: la.det(x) + pg.sum(x))(pg.ones((0, 0))).shape == (0, 0)
    assert pg.grad(la.det)(pg.asarray([[0.0]])).tolist() == [[1.0]]


def test_equal_eigenvalues_and_singular_values_have_finite_derivatives():
    one = pg.asarray(np.eye(3))
    np.testing.assert_allclose(pg.grad(lambda x: pg.sum(la.eigvalsh(x)))(one).numpy(), np.eye(3), atol=1e-15)
    np.testing.assert_allclose(pg.grad(lambda x: pg.sum(la.eigh(x).eigenvalues))(one).numpy(), np.eye(3), atol=1e-15)
    np.testing.assert_allclose(pg.grad(lambda x: pg.sum(la.svdvals(x)))(one).numpy(), np.eye(3), atol=1e-15)
    np.testing.assert_allclose(pg.grad(lambda x: pg.sum(la.svd(x).S))(one).numpy(), np.eye(3), atol=1e-15)
    np.testing.assert_allclose(pg.grad(lambda x: pg.real(pg.sum(la.eigvals(x))))(one).numpy(), np.eye(3), atol=1e-15)
    _, dw = pg.jvp(la.eigvalsh, (one,), (pg.ones((3, 3), dtype="float64"),))
    assert pg.sum(dw).item() == pytest.approx(3.0)


def test_eigenvectors_of_equal_eigenvalues_have_no_derivative():
    g = pg.grad(lambda x: pg.sum(la.eigh(x).eigenvectors[0]))(pg.asarray(np.eye(3)))
    assert not np.isfinite(g.numpy()).all()


@pytest.mark.parametrize("ord", ["fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_the_derivative_of_a_norm_at_zero_is_zero(ord, kind):
    zero = pg.zeros((2, 3), dtype="float64" if kind == "f" else "complex128")
    g = pg.grad(lambda x: la.matrix_norm(x, ord=ord))(zero)
    np.testing.assert_array_equal(g.numpy(), np.zeros((2, 3)))


@pytest.mark.parametrize("ord", [0, 0.5, 1, 1.5, 2, 3, np.inf, -np.inf])
def test_the_derivative_of_a_vector_norm_at_zero_is_zero(ord):
    np.testing.assert_array_equal(pg.grad(lambda x: la.vector_norm(x, ord=ord))(pg.zeros(3)).numpy(), np.zeros(3))
    g = pg.grad(lambda x: la.vector_norm(x, ord=ord))(pg.asarray([0.0, 2.0, -1.0])).numpy()
    assert np.isfinite(g).all() and g[0] == 0


def test_the_second_derivative_of_a_norm_at_zero_is_finite():
    assert np.isfinite(pg.hessian(la.vector_norm)(pg.zeros(3)).numpy()).all()


def test_what_is_one_choice_of_many_has_no_derivative():
    tall = pg.asarray(matrix(*TALL))
    for f in (lambda x: la.qr(x, mode="complete").R, lambda x: la.svd(x).S):
        with pytest.raises(LinAlgError, match="no derivative.*use"):
            pg.grad(lambda x: pg.sum(f(x)))(tall)  # noqa: B023 - called in the loop only
        with pytest.raises(LinAlgError, match="no derivative.*use"):
            pg.jvp(f, (tall,), (tall,))
    check_derivatives(lambda x: la.qr(x, mode="complete"), pg.asarray(matrix(*WIDE)))
    check_derivatives(la.svd, pg.asarray(spread(*SQUARE, "f")))


def test_pinv_of_constant_rank_and_its_tolerance():
    left, right = pg.asarray(matrix(4, 2)), pg.asarray(matrix(2, 3, seed=1))
    check_derivatives(lambda a, b: la.pinv(a @ b, rtol=1e-10), left, right)
    x = pg.asarray(np.stack([np.diag([1.0, 0.1]), np.diag([1.0, 0.1])]))
    bound = pg.asarray([0.5, 0.01])
    np.testing.assert_allclose(la.pinv(x, rtol=bound).numpy(), [np.diag([1.0, 0.0]), np.diag([1.0, 10.0])])
    np.testing.assert_allclose(
        pg.vmap(lambda r: la.pinv(x[0], rtol=r))(bound).numpy(), [np.diag([1.0, 0.0]), np.diag([1.0, 10.0])]
    )
    np.testing.assert_allclose(
        pg.vmap(lambda x, r: la.pinv(x, rtol=r))(x, bound).numpy(), la.pinv(x, rtol=bound).numpy()
    )
    three = pg.stack([x, x, x], axis=1)
    np.testing.assert_allclose(
        pg.vmap(lambda x, r: la.pinv(x, rtol=r))(three, bound).numpy(), la.pinv(three, rtol=bound[:, None]).numpy()
    )


@pytest.mark.parametrize("name", ["cholesky", "eigh", "svd_tall", "qr_tall", "slogdet", "eigvals", "expm", "norm_2"])
def test_real_gradients_are_those_of_the_complex_rule(name):
    """A real matrix and the same matrix as complex numbers have one gradient."""
    f, (x,) = given(name, "f")
    g = pg.grad(weighted(f, [x]))(x).numpy()
    h = pg.grad(weighted(f, [x]))(x.astype("complex128")).numpy()
    np.testing.assert_allclose(h.real, g, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["svd_wide", "eigh", "qr_tall", "solve", "cholesky", "pinv_wide"])
def test_staged_equals_eager(name):
    f, xs = given(name, "c")
    g = pg.grad(weighted(f, xs))
    np.testing.assert_allclose(pg.stage(g, *xs)(*xs).numpy(), g(*xs).numpy(), rtol=1e-12, atol=1e-12)


def test_backward_on_handles():
    a = pg.asarray(definite(3, "f")).requires_grad_()
    loss = la.slogdet(a).logabsdet + la.cholesky(a)[2, 0]
    loss.backward()
    g = pg.grad(lambda a: la.slogdet(a).logabsdet + la.cholesky(a)[2, 0])(a.detach())
    np.testing.assert_allclose(a.grad.numpy(), g.numpy())


def test_a_step_against_the_gradient_descends():
    """The convention for complex numbers: x - lr * grad."""
    x = pg.asarray(matrix(3, 3, kind="c"))

    def loss(x):
        return pg.sum(moduli(la.inv(x))) + la.slogdet(x).logabsdet ** 2

    assert loss(x - 1e-4 * pg.grad(loss)(x)).item() < loss(x).item()
