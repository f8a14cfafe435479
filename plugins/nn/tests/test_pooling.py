"""Pooling against direct loops, ties, padding, derivatives and vmap."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import check_derivatives, check_vmap
from plugrad_nn import avg_pool2d, max_pool2d

# kernel, stride, padding
CASES = {
    "tiling": (2, None, 0),
    "tiling with a rest": ((3, 2), None, 0),
    "overlap": (3, 1, 0),
    "stride": (3, 2, 1),
    "gaps": ((1, 2), (2, 3), 0),
    "uneven": ((3, 2), (1, 2), ((1, 0), (0, 1))),
    "one": (1, None, 0),
}


def full(padding):
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    return padding


def both(value):
    return (value, value) if isinstance(value, int) else value


def windows(x, kernel, stride, padding, filling):
    """Every window of x (n, c, h, w) with where it lies: yields i, j, (row, column) of its corner in the padded image,
    window.
    """
    (kh, kw), (sh, sw) = both(kernel), both(kernel if stride is None else stride)
    x = np.pad(x, ((0, 0), (0, 0), *full(padding)), constant_values=filling)
    for i in range((x.shape[2] - kh) // sh + 1):
        for j in range((x.shape[3] - kw) // sw + 1):
            yield i, j, (i * sh, j * sw), x[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw]


def pooled(x, case, filling, f):
    found = {(i, j): f(window, axis=(2, 3)) for i, j, _, window in windows(x, *case, filling)}
    rows, columns = max(i for i, _ in found) + 1, max(j for _, j in found) + 1
    return np.stack([np.stack([found[i, j] for j in range(columns)], -1) for i in range(rows)], -2)


def first_winner_gradient(x, g, case):
    """The gradient of max pooling where each cotangent goes to the first largest element of its window."""
    kernel, stride, padding = case
    (top, bottom), (left, right) = full(padding)
    out = np.zeros((*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right))
    for i, j, (row, column), window in windows(x, kernel, stride, padding, -np.inf):
        flat = window.reshape(*window.shape[:2], -1)
        at = flat.argmax(-1)
        for n in range(x.shape[0]):
            for c in range(x.shape[1]):
                u, v = divmod(at[n, c], window.shape[3])
                out[n, c, row + u, column + v] += g[n, c, i, j]
    return out[:, :, top : top + x.shape[2], left : left + x.shape[3]]


def call(pool, case, layout="NCHW"):
    kernel, stride, padding = case
    return lambda x: pool(x, kernel, stride=stride, padding=padding, layout=layout)


def images(x, layout):
    return pg.asarray(x if layout == "NCHW" else np.ascontiguousarray(x.transpose(0, 2, 3, 1)))


def nchw(y, layout):
    return y.numpy() if layout == "NCHW" else y.numpy().transpose(0, 3, 1, 2)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values(rng, case, layout):
    x = rng.normal(size=(2, 3, 7, 6))
    got = nchw(call(max_pool2d, case, layout)(images(x, layout)), layout)
    np.testing.assert_array_equal(got, pooled(x, case, -np.inf, np.max))
    got = nchw(call(avg_pool2d, case, layout)(images(x, layout)), layout)
    np.testing.assert_allclose(got, pooled(x, case, 0, np.mean), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
def test_derivatives(rng, pool, case, layout):
    x = images(rng.normal(size=(2, 3, 7, 6)), layout)
    f = call(pool, case, layout)
    check_derivatives(f, x)
    check_derivatives(lambda x: pg.sin(f(pg.sin(x))), x)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
def test_vmap_is_a_loop(rng, pool, case):
    x = pg.asarray(rng.normal(size=(2, 3, 7, 6)))
    f = call(pool, case)
    check_vmap(f, x)
    check_vmap(pg.grad(lambda x: pg.sin(f(x)).sum()), x)
    g = pg.asarray(rng.normal(size=f(x).shape))
    check_vmap(lambda g, x: pg.vjp(f, x)[1](g)[0], g, x)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("values", [1, 2, 3])
def test_ties_go_to_the_first(rng, case, values):
    """With few distinct values most windows have ties; forward and reverse mode choose the same element."""
    x = rng.integers(0, values, size=(2, 3, 7, 6)).astype(float)
    f = call(max_pool2d, case)
    y, pullback = pg.vjp(f, pg.asarray(x))
    g, t = rng.normal(size=y.shape), rng.normal(size=x.shape)
    (got,) = pullback(pg.asarray(g))
    np.testing.assert_allclose(got.numpy(), first_winner_gradient(x, g, case), atol=1e-12)
    _, dy = pg.jvp(f, (pg.asarray(x),), (pg.asarray(t),))
    assert (dy.numpy() * g).sum() == pytest.approx((got.numpy() * t).sum(), rel=1e-12)


def test_padding_never_wins():
    x = pg.full((1, 1, 3, 3), -5.0)
    assert max_pool2d(x, 3, stride=2, padding=1).tolist() == [[[[-5.0, -5.0], [-5.0, -5.0]]]]


def test_nan_shows():
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 1, 0] = np.nan
    y = max_pool2d(pg.asarray(x), 2).numpy()
    assert np.isnan(y).tolist() == [[[[True, False], [False, False]]]]


def test_a_cotangent_is_not_lost_where_all_is_minus_infinity():
    x = pg.full((1, 1, 2, 2), -np.inf, dtype="float64")
    assert pg.grad(lambda x: max_pool2d(x, 2).sum())(x).tolist() == [[[[1.0, 0.0], [0.0, 0.0]]]]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_unbounded_cotangent_reaches_only_the_largest_element(rng, case, bad):
    """Each window's winner gets what came for it, the others 0; of the same kind in both modes and twice backward."""
    x = pg.asarray(rng.normal(size=(1, 2, 7, 6)))
    f = call(max_pool2d, case)
    y, pullback = pg.vjp(f, x)
    g = np.ones(y.shape)
    g[0, 0, 0, 0] = bad
    (got,) = pullback(pg.asarray(g))
    np.testing.assert_array_equal(got.numpy(), first_winner_gradient(x.numpy(), g, case))
    assert np.isfinite(got.numpy()).sum() == x.size - 1
    t = np.where(np.isfinite(got.numpy()), bad, 1.0)  # unbounded everywhere but where that window has its largest
    assert pg.jvp(f, (x,), (pg.asarray(t),))[1].numpy()[0, 0, 0, 0] == 1
    (gg,) = pg.vjp(lambda g: pullback(g)[0], pg.asarray(g))[1](pg.asarray(t))
    assert gg.numpy()[0, 0, 0, 0] == 1


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
def test_one_image_and_no_images(rng, pool):
    x = pg.asarray(rng.normal(size=(2, 3, 7, 6)))
    np.testing.assert_array_equal(pool(x[0], 2).numpy(), pool(x, 2)[0].numpy())
    assert pool(x[:0], 2).shape == (0, 3, 3, 3)


def test_pooling_stays_whole_under_nested_transformations(rng, spy):
    x = pg.asarray(rng.normal(size=(2, 1, 3, 4, 4)))

    def gradient(x):
        return pg.grad(lambda x: pg.sin(max_pool2d(avg_pool2d(x, 2, stride=1), 2)).sum())(x)

    pg.vmap(lambda x, t: pg.jvp(gradient, (x,), (t,))[1])(x, x)
    assert {
        "nn.max_pool2d",
        "nn.max_pool2d_bwd",
        "nn.max_pool2d_select",
        "nn.avg_pool2d",
        "nn.avg_pool2d_bwd",
    } == spy.names
    assert spy.torn == set()


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
@pytest.mark.parametrize(
    ("shape", "kernel", "attrs", "words"),
    [
        ((3, 4), 2, {}, ["(3, 4)", "4 axes"]),
        ((1, 1, 3, 4), 4, {}, ["(4, 4)", "height is 3"]),
        ((1, 1, 3, 4), 0, {}, ["kernel_size is 0"]),
        ((1, 1, 3, 4), (2, 2, 2), {}, ["kernel_size is (2, 2, 2)"]),
        ((1, 1, 3, 4), 2, {"stride": -1}, ["stride is -1"]),
        ((1, 1, 3, 4), 3, {"padding": 2}, ["half", "((2, 2), (2, 2))"]),
    ],
)
def test_misfits_are_named_before_anything_runs(pool, shape, kernel, attrs, words):
    ran = []
    x = pg.zeros(shape)
    with pg.observe(lambda *event: ran.append(event)), pytest.raises(ShapeError) as caught:
        pool(x, kernel, **attrs)
    message = str(caught.value)
    assert f"{pool.__name__}: " in message
    assert [word for word in words if word not in message] == []
    assert ran == []


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
def test_integers_and_unknown_layouts(pool):
    with pytest.raises(DTypeError, match=rf"{pool.__name__}: x is int64.*astype"):
        pool(pg.zeros((1, 1, 4, 4), dtype="int64"), 2)
    with pytest.raises(ValueError, match="layout is 'NWHC'"):
        pool(pg.zeros((1, 1, 4, 4)), 2, layout="NWHC")


def test_a_cotangent_that_does_not_fit():
    attrs = dict(kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)), layout="NCHW")
    x = pg.zeros((1, 1, 4, 4))
    with pytest.raises(ShapeError, match=r"max_pool2d_bwd: the cotangent has shape \(1, 1, 3, 2\)"):
        pg.OPS["nn.max_pool2d_bwd"](pg.zeros((1, 1, 3, 2)), x, pg.zeros((1, 1, 2, 2)), **attrs)
    with pytest.raises(ShapeError, match=r"avg_pool2d_bwd: the cotangent has shape \(1, 1, 3, 2\)"):
        pg.OPS["nn.avg_pool2d_bwd"](pg.zeros((1, 1, 3, 2)), size=(4, 4), **attrs)
