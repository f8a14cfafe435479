"""Sliding windows against NumPy and plain loops, their adjoint, derivatives, batching, memory, and errors."""

import itertools

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import check_derivatives, check_vmap

WINDOWS, FOLD = pg.OPS["windows"], pg.OPS["fold"]

# shape, axis, window, stride, dilation, at
CASES = {
    "plain": ((7,), (0,), (3,), (1,), (1,), 1),
    "stride": ((8,), (0,), (3,), (2,), (1,), 1),
    "gaps": ((8,), (0,), (2,), (3,), (1,), 0),
    "dilation": ((9,), (0,), (3,), (1,), (2,), 1),
    "two axes": ((5, 6), (0, 1), (2, 3), (1, 2), (2, 1), 2),
    "elements first": ((5, 6), (0, 1), (2, 3), (1, 2), (2, 1), 0),
    "axes apart": ((5, 2, 6), (0, 2), (2, 3), (3, 1), (1, 2), 1),
    "three axes": ((2, 4, 3, 5), (1, 2, 3), (2, 1, 3), (1, 2, 1), (2, 3, 1), 1),
    "side by side": ((7, 2, 6), (0, 2), (3, 2), (3, 2), (1, 1), 1),
    "side by side, elements first": ((7, 2, 6), (0, 2), (3, 1), (3, 1), (1, 2), 0),
    "as wide as the stride, dilated": ((9,), (0,), (2,), (2,), (3,), 1),
    "whole": ((3, 4), (0, 1), (3, 4), (1, 1), (1, 1), 2),
    "none": ((0, 4), (1,), (2,), (1,), (1,), 2),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def positions(shape, axis, window, stride, dilation, at):
    """Every element of the result with where it comes from, one at a time."""
    counts = list(shape)
    for a, k, step, d in zip(axis, window, stride, dilation, strict=True):
        counts[a] = (shape[a] - d * (k - 1) - 1) // step + 1
    for i in np.ndindex(*counts):
        for k in np.ndindex(*window):
            source = list(i)
            for a, j, step, d in zip(axis, k, stride, dilation, strict=True):
                source[a] = i[a] * step + j * d
            yield (*i[:at], *k, *i[at:]), tuple(source)


def attributes(case):
    _, axis, window, stride, dilation, at = case
    return {"axis": axis, "window": window, "stride": stride, "dilation": dilation, "at": at}


def adjoint_attributes(case):
    attrs = attributes(case)
    del attrs["window"]
    return {**attrs, "size": tuple(case[0][a] for a in case[1])}


def through(op):
    """The op itself, and what it decomposes into."""
    return [op, op.decompose]


@each_case
def test_values(rng, case):
    x = rng.normal(size=case[0])
    found = dict(positions(*case))
    for f in through(WINDOWS):
        got = f(pg.asarray(x), **attributes(case))
        assert got.size == len(found)
        assert all(got.numpy()[to] == x[source] for to, source in found.items())


@each_case
def test_the_adjoint_adds(rng, case):
    g = rng.normal(size=WINDOWS(pg.zeros(case[0]), **attributes(case)).shape)
    wanted = np.zeros(case[0])
    for to, source in positions(*case):
        wanted[source] += g[to]
    for f in through(FOLD):
        got = f(pg.asarray(g), **adjoint_attributes(case))
        assert got.shape == case[0]
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-13, atol=1e-13)


@each_case
def test_transformations(rng, case):
    x = pg.asarray(rng.normal(size=case[0]))
    y = pg.asarray(rng.normal(size=WINDOWS(x, **attributes(case)).shape))
    for op, given, attrs in ((WINDOWS, x, attributes(case)), (FOLD, y, adjoint_attributes(case))):
        for f in through(op):
            check_derivatives(lambda t, f=f, attrs=attrs: pg.sin(f(pg.sin(t), **attrs)), given)
            check_vmap(lambda t, f=f, attrs=attrs: f(t, **attrs), given)
            check_vmap(pg.grad(lambda t, f=f, attrs=attrs: pg.sin(f(t, **attrs)).sum()), given)


def test_each_stays_one_op_in_gradients_of_any_order():
    """The derivative of each is the other: nothing else is recorded."""
    case = CASES["two axes"]
    heard = []
    _, pullback = pg.vjp(lambda t: WINDOWS(t, **attributes(case)), pg.ones(case[0]))
    g, t = pg.ones(WINDOWS(pg.zeros(case[0]), **attributes(case)).shape), pg.ones(case[0])
    with pg.observe(lambda op, backend, how: heard.append(op)):
        _, again = pg.vjp(lambda g: pullback(g)[0], g)
        again(t)
    assert heard == ["fold", "windows"]


def test_a_view_on_the_reference():
    x = pg.asarray(np.zeros((200, 200)), copy=True)
    y = pg.sliding_window_view(x, (50, 50))
    assert y.size > 50_000_000
    assert np.shares_memory(x.numpy(), y.numpy())
    x[0, 0] = 1  # x means another value now; the view does not see it
    assert y[0, 0, 0, 0].item() == 0


@pytest.mark.parametrize("dtype", ["bool", "int16", "float16", "bfloat16", "complex64", "float8_e4m3fn"])
def test_dtypes(dtype):
    x = pg.asarray(np.arange(5) % 3).astype("float32" if "float8" in dtype else dtype).astype(dtype)
    y = pg.sliding_window_view(x, 2)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y.numpy(), np.stack([x.numpy()[i : i + 2] for i in range(4)]))
    if dtype == "bool":
        with pytest.raises(DTypeError, match="fold: not defined for bool"):
            FOLD(y, axis=(0,), size=(5,), stride=(1,), dilation=(1,), at=1)


def test_low_precision_sums_accumulate_in_float32():
    g = pg.ones((1, 1), dtype="float16").broadcast_to((3000, 3000))
    got = FOLD(g, axis=(0,), size=(5999,), stride=(1,), dilation=(1,), at=1)
    assert got.astype("float32").numpy().max() == 3000


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1), (1, 0), -1])
@pytest.mark.parametrize("window", [2, (2,), (2, 3), 1])
def test_the_public_function_is_that_of_numpy(rng, axis, window):
    x = rng.normal(size=(4, 5))
    count = 2 if axis is None else len(axis) if isinstance(axis, tuple) else 1
    sizes = (window,) * count if isinstance(window, int) else window
    if len(sizes) != count:
        with pytest.raises(ShapeError, match=f"one for each of {count} axes"):
            pg.sliding_window_view(pg.asarray(x), window, axis)
        return
    wanted = np.lib.stride_tricks.sliding_window_view(x, sizes, axis)
    np.testing.assert_array_equal(pg.sliding_window_view(pg.asarray(x), window, axis).numpy(), wanted)
    check_derivatives(lambda x: pg.sliding_window_view(x, window, axis) ** 2, pg.asarray(x))


def test_stride_and_dilation_go_with_their_axes(rng):
    x = rng.normal(size=(9, 8))
    got = pg.sliding_window_view(pg.asarray(x), (2, 3), (1, 0), stride=(2, 1), dilation=(1, 3)).numpy()
    assert got.shape == (3, 4, 2, 3)
    for i, j, u, v in itertools.product(range(3), range(4), range(2), range(3)):
        assert got[i, j, u, v] == x[i + 3 * v, 2 * j + u]


def test_no_axes():
    assert pg.sliding_window_view(pg.asarray(3.0), ()).item() == 3.0
    assert pg.sliding_window_view(pg.ones((2, 3)), (), ()).shape == (2, 3)


@pytest.mark.parametrize(
    ("args", "options", "words"),
    [
        ((6,), {}, ["window (6, 6)", "(4, 5)"]),
        ((3, 1), {"dilation": 3}, ["dilation (3,)", "spans 7"]),
        ((0,), {}, ["window_shape is 0"]),
        ((2,), {"stride": 0}, ["stride is 0"]),
        ((2,), {"stride": (1, 2, 3)}, ["stride is (1, 2, 3)"]),
        ((2,), {"dilation": -1}, ["(-1, -1)"]),
        ((2, 2), {}, ["axis 2"]),
        ((2, (0, 0)), {}, ["twice"]),
    ],
)
def test_misfits(args, options, words):
    with pytest.raises(ShapeError) as caught:
        pg.sliding_window_view(pg.ones((4, 5)), *args, **options)
    assert [word for word in words if word not in str(caught.value)] == []


def test_an_adjoint_that_does_not_fit():
    with pytest.raises(ShapeError, match=r"fold: \(3, 2\) does not hold the windows"):
        FOLD(pg.ones((3, 2)), axis=(0,), size=(5,), stride=(1,), dilation=(1,), at=1)
