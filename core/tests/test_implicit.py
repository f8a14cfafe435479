"""Roots and linear systems: the derivative of the solution, not of the steps that found it."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import RecordingError, ShapeError, StateError
from plugrad.testing import check_derivatives, check_vmap

R = np.random.default_rng(2)
A = R.normal(size=(3, 3)) * 0.4 + 2.0 * np.eye(3)
B = R.normal(size=3)


def close(found, wanted, tolerance=1e-9):
    for a, b in zip(pg.tree.leaves(found), pg.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)


# -- linear systems


def richardson(matvec, b):
    """x <- x + s (b - A x), which is not differentiated: its steps have derivatives of their own, but wrong ones."""

    def step(c):
        return pg.stop_gradient(c + 0.3 * (b - matvec(c)))

    return pg.while_loop(lambda c: pg.sum((b - matvec(c)) ** 2) > 1e-26, step, pg.zeros_like(b))


def solved(a, b):
    return pg.linear_solve(lambda x: a @ x, b, richardson, richardson)


def cramer(a, b):
    """The solution of three equations in closed form, which any transformation can differentiate."""
    rows = [[a[i, (j + 1) % 3] * a[k, (j + 2) % 3] for i, k in ((1, 2), (2, 0), (0, 1))] for j in range(3)]
    less = [[a[i, (j + 2) % 3] * a[k, (j + 1) % 3] for i, k in ((1, 2), (2, 0), (0, 1))] for j in range(3)]
    adjugate = pg.stack(
        [pg.stack([p - q for p, q in zip(*pair, strict=True)]) for pair in zip(rows, less, strict=True)]
    )
    return adjugate @ b / pg.sum(adjugate[0] * a[:, 0])


TRANSFORMS = {
    "value": lambda f: f,
    "grad": lambda f: pg.grad(lambda *x: pg.sum(f(*x) ** 2), (0, 1)),
    "jvp": lambda f: lambda *x: pg.jvp(f, x, x[::1]),
    "jacrev": lambda f: pg.jacrev(f),
    "hessian": lambda f: pg.hessian(lambda *x: pg.sum(f(*x) ** 3), 1),
    "hessian of the matrix": lambda f: pg.hessian(lambda *x: pg.sum(f(*x) ** 3)),
    "grad of grad": lambda f: pg.grad(lambda a, b: pg.sum(pg.grad(lambda a: pg.sum(f(a, b) ** 2))(a) ** 2), (0, 1)),
    "grad of jvp": lambda f: pg.grad(lambda *x: pg.sum(pg.jvp(f, x, x)[1] ** 2), (0, 1)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_solution_of_a_system_under_every_transformation(name):
    np.testing.assert_allclose(cramer(pg.asarray(A), pg.asarray(B)).numpy(), np.linalg.solve(A, B))
    transform, a, b = TRANSFORMS[name], pg.asarray(A), pg.asarray(B)
    f, g = transform(solved), transform(cramer)
    close(f(a, b), g(a, b))
    close(pg.stage(f, a, b)(a, b), g(a, b))
    close(transform(pg.stage(solved, a, b))(a, b), g(a, b))
    many = pg.stack([a, a.T, a * 1.1])
    close(pg.vmap(f, (0, None))(many, b), pg.vmap(g, (0, None))(many, b))
    close(pg.vmap(f, (None, 0))(a, many[0]), pg.vmap(g, (None, 0))(a, many[0]))


def test_the_gradient_of_a_batch_of_systems():
    many, b = pg.stack([pg.asarray(A), pg.asarray(A.T)]), pg.asarray(B)
    f, g = [lambda m, b, f=f: pg.sum(pg.vmap(f, (0, None))(m, b) ** 2) for f in (solved, cramer)]
    close(pg.grad(f, (0, 1))(many, b), pg.grad(g, (0, 1))(many, b))
    close(pg.hvp(f, (many, b), (many, b)), pg.hvp(g, (many, b), (many, b)))


def test_what_only_the_solver_uses_has_no_derivative():
    def f(k):
        return pg.sum(pg.linear_solve(lambda x: x * 2.0, pg.ones(3), lambda _, r: r * k))

    k = pg.asarray(0.5)
    assert f(k).item() == 1.5 and pg.grad(f)(k).item() == 0.0 and pg.jvp(f, (k,), (k,))[1].item() == 0.0
    assert pg.vmap(pg.grad(f))(pg.stack([k, k])).tolist() == [0.0, 0.0]


def test_derivatives_agree_with_one_another():
    check_derivatives(solved, pg.asarray(A), pg.asarray(B), agreement=1e-8, difference=1e-5)
    check_vmap(solved, pg.asarray(A), pg.asarray(B), tolerance=1e-10)


def test_a_solver_of_a_symmetric_system_serves_both_ways():
    seen = []

    def solve(matvec, b):
        seen.append(b.shape)
        return richardson(matvec, b)

    s = pg.asarray(A @ A.T * 0.5)
    f = lambda s, b: pg.linear_solve(lambda x: s @ x, b, solve, symmetric=True)  # noqa: E731
    found = pg.grad(lambda s, b: pg.sum(f(s, b) ** 2), (0, 1))(s, pg.asarray(B))
    close(found, pg.grad(lambda s, b: pg.sum(cramer(s, b) ** 2), (0, 1))(s, pg.asarray(B)))
    assert len(seen) == 2


def test_the_adjoint_of_a_complex_system():
    a, b = pg.asarray(A + 0.3j * A.T), pg.asarray(B + 1j * B[::-1])
    dense = lambda a, b: pg.asarray(np.linalg.solve(a.detach().numpy(), b.detach().numpy()))  # noqa: E731
    f = lambda a, b: pg.linear_solve(lambda x: a @ x, b, lambda _, r: dense(a, r), lambda _, r: dense(pg.conj(a.T), r))  # noqa: E731
    check_derivatives(f, a, b, order=1)


def test_trees_of_unknowns():
    def f(k):
        def matvec(x):
            return {"a": k * x["a"] + x["b"], "b": 3.0 * x["b"]}

        def solve(_, b):
            y = b["b"] / 3.0
            return {"a": (b["a"] - y) / k, "b": y}

        def adjoint(_, b):
            x = b["a"] / k
            return {"a": x, "b": (b["b"] - x) / 3.0}

        return pg.linear_solve(
            matvec, {"a": pg.asarray(5.0, dtype="float64"), "b": pg.asarray(6.0, dtype="float64")}, solve, adjoint
        )

    k = pg.asarray(2.0, dtype="float64")
    assert f(k)["a"].item() == 1.5 and f(k)["b"].item() == 2.0
    check_derivatives(f, k)


def test_errors_of_linear_solve():
    b = pg.ones(3)
    with pytest.raises(RecordingError, match="linear_solve: reverse mode needs transpose_solve=, or symmetric=True"):
        pg.grad(lambda b: pg.sum(pg.linear_solve(lambda x: x * 2.0, b, lambda f, b: b / 2.0)))(b)
    assert (
        pg.jvp(lambda b: pg.linear_solve(lambda x: x * 2.0, b, lambda f, b: b / 2.0), (b,), (b,))[1].tolist()
        == [0.5] * 3
    )
    with pytest.raises(ShapeError, match=r"linear_solve: x has shape \(3,\), the result there \(2,\)"):
        pg.linear_solve(lambda x: x[:2], b, lambda f, b: b)
    with pytest.raises(ShapeError, match="linear_solve: a result has another structure than x"):
        pg.linear_solve(lambda x: (x, x), b, lambda f, b: b)
    with pytest.raises(ShapeError, match=r"linear_solve: x has shape \(3,\), the result there \(\)"):
        pg.linear_solve(lambda x: x, b, lambda f, b: pg.sum(b))

    def writes(x):
        b[0] = x[1]
        return x

    with pytest.raises(StateError, match="linear_solve: the function writes to a float32 tensor"):
        pg.linear_solve(writes, pg.zeros(3), lambda f, b: b)


# -- roots


def newton(f, x):
    def step(x):
        y, dy = pg.jvp(f, (x,), (pg.ones_like(x),))
        return pg.stop_gradient(x - y / dy)

    return pg.while_loop(lambda x: pg.abs(f(x)) > 1e-13, step, x)


def divided(g, y):
    return y / g(pg.ones_like(y))


def cube_root(a):
    return pg.custom_root(lambda x: x**3 - a, pg.ones_like(a), newton, divided)


def slope(f):
    return lambda a: pg.jvp(f, (a,), (a,))[1]


DERIVATIVES = {
    "value": lambda f: f,
    "grad": pg.grad,
    "jvp": slope,
    "grad of grad": lambda f: pg.grad(pg.grad(f)),
    "jvp of grad": lambda f: slope(pg.grad(f)),
    "grad of jvp of jvp": lambda f: pg.grad(slope(slope(f))),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_a_root_under_every_transformation(name):
    def exact(a):
        return a ** (1 / 3)

    def total(f):
        return pg.grad(lambda xs: pg.sum(pg.vmap(f)(xs) ** 2))

    a, xs = pg.asarray(2.0, dtype="float64"), pg.asarray([1.0, 3.0, 9.0], dtype="float64")
    d = DERIVATIVES[name]
    f, g = d(cube_root), d(exact)
    close(f(a), g(a))
    close(pg.vmap(f)(xs), pg.vmap(g)(xs))
    close(pg.stage(f, a)(a), g(a))
    close(d(pg.stage(cube_root, a))(a), g(a))
    close(pg.stage(pg.vmap(f), xs)(xs), pg.vmap(g)(xs))
    close(total(f)(xs), total(g)(xs))


def test_derivatives_of_a_root_agree_with_one_another():
    check_derivatives(cube_root, pg.asarray(2.0, dtype="float64"))
    check_vmap(cube_root, pg.asarray(2.0, dtype="float64"), tolerance=1e-10)


def test_a_root_of_several_unknowns():
    """x = tanh(W x + b), a layer of infinite depth, whose derivative solves with a dense Jacobian."""
    w, b = pg.asarray(A * 0.2), pg.asarray(B)

    def iterated(f, x):
        return pg.fori_loop(0, 80, lambda _, x: x - f(x), x)

    def dense(g, y):
        return cramer(pg.jacfwd(g)(pg.zeros_like(y)), y)

    def layer(w, b):
        return pg.custom_root(lambda x: x - pg.tanh(w @ x + b), pg.zeros_like(b), iterated, dense)

    def unrolled(w, b):
        return pg.fori_loop(0, 80, lambda _, x: pg.tanh(w @ x + b), pg.zeros_like(b))

    for name in ("value", "grad", "jvp", "hessian"):
        close(TRANSFORMS[name](layer)(w, b), TRANSFORMS[name](unrolled)(w, b))
    many = pg.stack([b, b * 0.5])
    g = TRANSFORMS["grad"]
    close(pg.vmap(g(layer), (None, 0))(w, many), pg.vmap(g(unrolled), (None, 0))(w, many))
    check_derivatives(layer, w, b)


def test_the_guess_and_the_solver_have_no_derivative():
    ran = []

    def solve(f, x):
        ran.append(x)
        return newton(f, x)

    def root(guess, a):
        return pg.custom_root(lambda x: x * x - a, guess, solve, divided)

    two, four = pg.asarray(1.5, dtype="float64"), pg.asarray(4.0, dtype="float64")
    gradient = pg.grad(root, (0, 1))(two, four)
    assert gradient[0].item() == 0.0 and abs(gradient[1].item() - 0.25) < 1e-12
    assert len(ran) == 1
    assert pg.jvp(lambda guess: root(guess, four), (two,), (two,))[1].item() == 0.0


def test_errors_of_custom_root():
    with pytest.raises(ShapeError, match=r"custom_root: x\['a'\] has shape \(2,\), the result there \(\)"):
        pg.custom_root(lambda x: {"a": pg.sum(x["a"])}, {"a": pg.ones(2)}, lambda f, x: x, divided)


def test_a_solver_may_use_what_the_equation_uses():
    """Also under a level, whose values its rules, which run below, would not know."""
    a, b = pg.asarray(A), pg.asarray(B)
    f = lambda a, b: pg.linear_solve(lambda x: a @ x, b, lambda _, r: cramer(a, r), lambda _, r: cramer(a.T, r))  # noqa: E731
    for name in ("value", "grad", "jvp", "hessian", "grad of jvp"):
        close(TRANSFORMS[name](f)(a, b), TRANSFORMS[name](cramer)(a, b))
    many = pg.stack([a, a.T])
    g = TRANSFORMS["grad"]
    close(pg.vmap(g(f), (0, None))(many, b), pg.vmap(g(cramer), (0, None))(many, b))

    def root(s):
        return pg.custom_root(lambda x: x * x - s, s, lambda _, x: pg.sqrt(s), lambda g, y: y / (2.0 * pg.sqrt(s)))

    xs = pg.asarray([1.0, 4.0], dtype="float64")
    close(pg.vmap(pg.grad(root))(xs), 0.5 / pg.sqrt(xs))
    close(pg.vmap(pg.grad(pg.grad(root)))(xs), -0.25 / pg.sqrt(xs) ** 3)


def test_a_solver_may_look_at_values_where_there_are_any():
    def dense(matvec, b):
        return pg.asarray(np.linalg.solve(pg.jacfwd(matvec)(pg.zeros_like(b)).numpy(), b.numpy()))

    a, b = pg.asarray(A), pg.asarray(B)
    f = lambda a, b: pg.linear_solve(lambda x: a @ x, b, dense, dense)  # noqa: E731
    for name in ("value", "grad", "jvp", "grad of grad"):
        close(TRANSFORMS[name](f)(a, b), TRANSFORMS[name](cramer)(a, b))
