"""safe_where: right values and derivatives, never a NaN from the side that was not chosen, in every mode."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError

X = np.array([-1.0, 0.0, 0.25, 4.0])
CASES = {
    "log": (lambda x: pg.safe_where(x > 0, pg.log, x), [0, 0, np.log(0.25), np.log(4.0)], [0, 0, 4, 0.25]),
    "sqrt": (lambda x: pg.safe_where(x > 0, pg.sqrt, x), [0, 0, 0.5, 2], [0, 0, 1, 0.25]),
    "otherwise": (lambda x: pg.safe_where(x > 0, pg.sqrt, x, 9.0, -x), [1, 0, 0.5, 2], [-1, -1, 1, 0.25]),
    "inverse": (lambda x: pg.safe_where(x != 0, lambda v: 1 / v, x, 2.0, 7.0), [-1, 7, 4, 0.25], [-1, 0, -16, -1 / 16]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(name):
    f, values, slopes = CASES[name]
    x = pg.asarray(X)
    np.testing.assert_allclose(f(x).numpy(), values)
    total = lambda v: f(v).sum()  # noqa: E731
    np.testing.assert_allclose(pg.grad(total)(x).numpy(), slopes)
    np.testing.assert_allclose(pg.jvp(f, (x,), (pg.ones_like(x),))[1].numpy(), slopes)
    np.testing.assert_allclose(pg.vmap(pg.grad(f))(x).numpy(), slopes)
    np.testing.assert_allclose(pg.grad(pg.compile(total))(x).numpy(), slopes)
    np.testing.assert_allclose(pg.grad(pg.checkpoint(total))(x).numpy(), slopes)
    second = pg.hessian(total)(x).numpy()
    assert np.isfinite(second).all() and (second == np.diag(np.diag(second))).all()
    np.testing.assert_allclose(np.diag(second), pg.vmap(pg.grad(pg.grad(f)))(x).numpy())
    leaf = pg.asarray(X).requires_grad_()
    with pg.find_nan(inf=True):
        total(leaf).backward()
    np.testing.assert_allclose(leaf.grad.numpy(), slopes)


def test_the_plain_way_has_a_nan():
    x = pg.asarray(X)
    with np.errstate(all="ignore"):
        assert np.isnan(pg.grad(lambda v: pg.where(v > 0, pg.sqrt(v), 0.0).sum())(x).numpy()).any()


def test_the_norm_of_rows():
    def norms(v):
        squares = (v * v).sum(axis=-1)
        return pg.safe_where(squares > 0, pg.sqrt, squares)

    x = pg.asarray([[3.0, 4.0], [0.0, 0.0]])
    assert norms(x).tolist() == [5.0, 0.0]
    np.testing.assert_allclose(pg.jacrev(norms)(x).numpy()[1], np.zeros((2, 2)))
    np.testing.assert_allclose(pg.grad(lambda v: norms(v).sum())(x).numpy(), [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_the_condition_may_have_more_axes_and_f_sees_the_fill():
    seen = []
    found = pg.safe_where(
        pg.asarray([[True], [False]]), lambda v: seen.append(v.tolist()) or v * 2, pg.asarray(3.0), 5.0
    )
    assert found.tolist() == [[6.0], [0.0]] and seen == [[[3.0], [5.0]]]
    assert pg.safe_where(True, pg.sqrt, 4.0).item() == 2.0
    otherwise = pg.grad(lambda o: pg.safe_where(pg.asarray([True, False]), pg.exp, pg.zeros(2), otherwise=o).sum())
    assert otherwise(pg.asarray([1.0, 1.0])).tolist() == [0.0, 1.0]


def test_errors():
    x = pg.ones((2,))
    with pytest.raises(DTypeError, match="safe_where: f is a Tensor; give the function"):
        pg.safe_where(x > 0, pg.log(x), x)
    with pytest.raises(DTypeError, match="condition is float32; it must be bool"):
        pg.safe_where(x, pg.log, x)
    with pytest.raises(ShapeError, match=r"where: shapes \(3,\), \(2,\)"):
        pg.safe_where(pg.ones((3,)) > 0, pg.log, x)


def test_errors_of_the_users_function_are_the_users():
    x = pg.ones((2,))
    with pytest.raises(KeyError, match=r"^'a'$"):
        pg.safe_where(x > 0, lambda v: {}["a"], x)
    with pytest.raises(ValueError, match="^invalid literal") as found:
        pg.safe_where(x > 0, lambda v: int("one"), x)
    assert type(found.value) is ValueError
