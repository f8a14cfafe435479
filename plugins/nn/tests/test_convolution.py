"""conv2d against direct loops, its derivatives against differences, its adjoints against one another, vmap against a
loop.
"""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import check_derivatives, check_vmap
from plugrad_nn import conv2d

# stride, padding, dilation, groups, kernel
CASES = {
    "plain": (1, 0, 1, 1, (3, 3)),
    "same": (1, 1, 1, 1, (3, 3)),
    "one": (1, 0, 1, 1, (1, 1)),
    "stride": (2, 0, 1, 1, (3, 3)),
    "stride leaves a rest": ((2, 3), 0, 1, 1, (2, 2)),
    "tiling": (2, 0, 1, 1, (2, 2)),
    "tiling with a rest": ((3, 2), 0, 1, 1, (3, 2)),
    "sparse": (3, 0, 1, 1, (2, 1)),
    "padding": (1, (2, 1), 1, 1, (3, 2)),
    "uneven padding": (2, ((0, 1), (2, 0)), 1, 1, (2, 3)),
    "dilation": (1, 1, (2, 1), 1, (2, 3)),
    "as wide as the stride, dilated": (2, 0, 2, 1, (2, 2)),
    "groups": (1, 1, 1, 2, (3, 3)),
    "depthwise": (1, 1, 1, 4, (3, 3)),
    "everything": ((2, 1), ((1, 0), (2, 1)), (1, 2), 2, (3, 2)),
}


def full(padding):
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    if isinstance(padding[0], int):
        return (padding[0], padding[0]), (padding[1], padding[1])
    return padding


def both(value):
    return (value, value) if isinstance(value, int) else value


def direct(x, w, stride, padding, dilation, groups):
    """The definition, one output element at a time; x (n, c, h, w)."""
    (sh, sw), (dh, dw) = both(stride), both(dilation)
    x = np.pad(x, ((0, 0), (0, 0), *full(padding)))
    o, per_group, kh, kw = w.shape
    oh = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1
    ow = (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((x.shape[0], o, oh, ow))
    for k in range(o):
        first = (k // (o // groups)) * per_group
        for i in range(oh):
            for j in range(ow):
                rows = slice(i * sh, i * sh + dh * (kh - 1) + 1, dh)
                columns = slice(j * sw, j * sw + dw * (kw - 1) + 1, dw)
                window = x[:, first : first + per_group, rows, columns]
                y[:, k, i, j] = (window * w[k]).sum(axis=(1, 2, 3))
    return y


def operands(rng, groups, kernel, dtype="float64"):
    x = rng.normal(size=(2, 4, 7, 6)).astype(dtype)
    return x, rng.normal(size=(8, 4 // groups, *kernel)).astype(dtype)


def convolution(stride, padding, dilation, groups, layout="NCHW"):
    def f(x, w):
        return conv2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout)

    return f


def images(x, layout):
    return pg.asarray(x if layout == "NCHW" else np.ascontiguousarray(x.transpose(0, 2, 3, 1)))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_value_is_the_definition(rng, case, layout):
    *attrs, kernel = case
    x, w = operands(rng, attrs[3], kernel)
    got = convolution(*attrs, layout=layout)(images(x, layout), pg.asarray(w)).numpy()
    wanted = direct(x, w, *attrs)
    np.testing.assert_allclose(got if layout == "NCHW" else got.transpose(0, 3, 1, 2), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_derivatives(rng, case, layout):
    *attrs, kernel = case
    x, w = operands(rng, attrs[3], kernel)
    check_derivatives(convolution(*attrs, layout=layout), images(x, layout), pg.asarray(w))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", ["same", "stride", "groups", "everything"])
def test_vmap_is_a_loop(rng, case, layout):
    *attrs, kernel = CASES[case]
    x, w = operands(rng, attrs[3], kernel)
    f = convolution(*attrs, layout=layout)
    check_vmap(f, images(x, layout), pg.asarray(w))
    check_vmap(pg.grad(lambda x, w: pg.sin(f(x, w)).sum(), argnums=(0, 1)), images(x, layout), pg.asarray(w))


@pytest.mark.parametrize("case", ["same", "groups", "everything"])
def test_the_adjoints_keep_their_form_under_vmap(rng, case):
    """Every pattern of batched operands of the two backward operations equals a loop."""
    *attrs, kernel = CASES[case]
    x, w = operands(rng, attrs[3], kernel)
    f = convolution(*attrs)
    x, w = pg.asarray(x), pg.asarray(w)
    g = pg.asarray(rng.normal(size=f(x, w).shape))
    check_vmap(lambda g, w: pg.vjp(lambda x: f(x, w), x)[1](g)[0], g, w)
    check_vmap(lambda g, x: pg.vjp(lambda w: f(x, w), w)[1](g)[0], g, x)


def test_operations_stay_whole_under_nested_transformations(rng, spy):
    """Gradient of gradient under vmap, and forward over reverse mode, run on the three operations alone."""
    x, w = map(pg.asarray, operands(rng, 1, (3, 3)))

    def gradient(x, w):
        return pg.grad(lambda w: pg.sin(conv2d(x, w)).sum())(w)

    pg.vmap(pg.grad(lambda x, w: pg.sin(gradient(x, w)).sum()), in_axes=(0, None))(x.reshape((2, 1, *x.shape[1:])), w)
    assert spy.names == {"nn.conv2d", "nn.conv2d_input_bwd", "nn.conv2d_weight_bwd"}
    pg.jvp(gradient, (x, w), (x, w))
    assert spy.torn == set()


def test_adjoints_are_adjoint(rng):
    """<g, conv(x, w)> = <input_bwd(g, w), x> = <weight_bwd(g, x), w>, called as operations."""
    attrs = dict(stride=(2, 1), padding=((1, 0), (2, 1)), dilation=(1, 2), groups=2, layout="NCHW")
    x, w = map(pg.asarray, operands(rng, 2, (3, 2)))
    y = pg.OPS["nn.conv2d"](x, w, **attrs)
    g = pg.asarray(rng.normal(size=y.shape))
    gx = pg.OPS["nn.conv2d_input_bwd"](g, w, size=(7, 6), **attrs)
    gw = pg.OPS["nn.conv2d_weight_bwd"](g, x, kernel=(3, 2), **attrs)
    assert (gx.shape, gw.shape) == (x.shape, w.shape)
    pairing = (g * y).sum().item()
    assert (gx * x).sum().item() == pytest.approx(pairing, rel=1e-12)
    assert (gw * w).sum().item() == pytest.approx(pairing, rel=1e-12)


def test_bias_belongs_to_channels(rng):
    x, w = operands(rng, 1, (3, 3))
    b = rng.normal(size=8)
    wanted = direct(x, w, 1, 0, 1, 1) + b[:, None, None]
    got = conv2d(pg.asarray(x), pg.asarray(w), pg.asarray(b))
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-12)
    last = conv2d(images(x, "NHWC"), pg.asarray(w), pg.asarray(b), layout="NHWC")
    np.testing.assert_allclose(last.numpy().transpose(0, 3, 1, 2), wanted, atol=1e-12)
    check_derivatives(lambda b: conv2d(pg.asarray(x), pg.asarray(w), b), pg.asarray(b), order=1)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_keeps_the_size(rng, kernel, dilation):
    x, w = rng.normal(size=(1, 2, 9, 8)), rng.normal(size=(3, 2, kernel, kernel))
    total = dilation * (kernel - 1)
    around = ((total // 2, total - total // 2),) * 2
    got = conv2d(pg.asarray(x), pg.asarray(w), padding="same", dilation=dilation)
    assert got.shape == (1, 3, 9, 8)
    np.testing.assert_allclose(got.numpy(), direct(x, w, 1, around, dilation, 1), atol=1e-12)


def test_valid_is_no_padding(rng):
    x, w = map(pg.asarray, operands(rng, 1, (3, 3)))
    assert (conv2d(x, w, padding="valid") == conv2d(x, w)).all()


def test_one_image_without_an_axis_of_examples(rng):
    x, w = map(pg.asarray, operands(rng, 1, (3, 3)))
    b = pg.asarray(rng.normal(size=8))
    np.testing.assert_array_equal(conv2d(x[0], w, b).numpy(), conv2d(x[:1], w, b)[0].numpy())
    check_vmap(lambda x: conv2d(x, w, b, padding=1), x[0])


def test_no_images_give_no_images(rng):
    w = pg.asarray(rng.normal(size=(8, 4, 3, 3)))
    x = pg.zeros((0, 4, 7, 6), dtype="float64")
    assert conv2d(x, w).shape == (0, 8, 5, 4)
    gx, gw = pg.grad(lambda x, w: conv2d(x, w).sum(), argnums=(0, 1))(x, w)
    assert gx.shape == x.shape
    assert (gw == 0).all()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_any_memory_order(rng, layout):
    x, w = operands(rng, 2, (3, 2))
    plain = convolution(2, 1, 1, 2, layout)(images(x, layout), pg.asarray(w)).numpy()
    reversed_x = pg.flip(images(x[:, :, ::-1, ::-1].copy(), layout), axis=(2, 3) if layout == "NCHW" else (1, 2))
    turned_w = pg.permute_dims(pg.asarray(np.ascontiguousarray(w.transpose(3, 1, 0, 2))), (2, 1, 3, 0))
    np.testing.assert_allclose(convolution(2, 1, 1, 2, layout)(reversed_x, turned_w).numpy(), plain, atol=1e-12)


def test_float32_and_promotion(rng):
    x, w = operands(rng, 1, (3, 3), "float32")
    y = conv2d(pg.asarray(x), pg.asarray(w))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.numpy(), direct(x, w, 1, 0, 1, 1), rtol=1e-4, atol=1e-4)
    assert conv2d(pg.asarray(x), pg.asarray(w.astype("float64"))).dtype == np.float64
    g = pg.grad(lambda x, w: conv2d(x, w).sum(), argnums=(0, 1))(pg.asarray(x), pg.asarray(w.astype("float64")))
    assert [t.dtype for t in g] == [np.float32, np.float64]


X, W = (2, 4, 7, 6), (8, 4, 3, 3)
ERRORS = {
    "channels": (X, (8, 3, 3, 3), {}, ["(2, 4, 7, 6)", "4 channels", "(8, 3, 3, 3)"]),
    "channels of a layout": (X, W, {"layout": "NHWC"}, ["6 channels", "NHWC"]),
    "channels and groups": (X, W, {"groups": 2}, ["takes 8"]),
    "outputs and groups": (X, (9, 2, 3, 3), {"groups": 2}, ["9 output channels", "groups=2"]),
    "images without channels": ((64, 7, 6), W, {}, ["x has shape (64, 7, 6)", "64 channels", "expand_dims(x, axis=1)"]),
    "the same of a layout": ((9, 7, 6), W, {"layout": "NHWC"}, ["(9, 7, 6)", "image (HWC)", "expand_dims(x, axis=3)"]),
    "rank of x": ((4, 7), W, {}, ["(4, 7)", "4 axes"]),
    "rank of weight": (X, (8, 4, 3), {}, ["(8, 4, 3)", "(out, in / groups, kh, kw)"]),
    "kernel": (X, (8, 4, 3, 7), {}, ["(3, 7)", "width is 6", "padding"]),
    "dilated kernel": (X, W, {"dilation": (1, 3)}, ["dilated to 7", "width is 6"]),
    "stride": (X, W, {"stride": 0}, ["stride is 0", "at least 1"]),
    "stride of three": (X, W, {"stride": (1, 1, 1)}, ["stride is (1, 1, 1)", "pair"]),
    "stride of a fraction": (X, W, {"stride": 1.5}, ["stride is 1.5", "integer"]),
    "negative padding": (X, W, {"padding": -1}, ["padding is -1", "at least 0"]),
    "padding of three": (X, W, {"padding": ((1, 1), (1, 1), (1, 1))}, ["padding is", "(top, bottom)"]),
    "groups": (X, W, {"groups": 0}, ["groups is 0"]),
    "same with a stride": (X, W, {"padding": "same", "stride": 2}, ["same", "stride 1"]),
}


@pytest.mark.parametrize(("x", "w", "attrs", "words"), ERRORS.values(), ids=ERRORS)
def test_misfits_are_named_before_anything_runs(x, w, attrs, words):
    ran = []
    x, w = pg.zeros(x), pg.zeros(w)
    with pg.observe(lambda *event: ran.append(event)), pytest.raises(ShapeError) as caught:
        conv2d(x, w, **attrs)
    message = str(caught.value)
    assert "conv2d: " in message
    assert [word for word in words if word not in message] == []
    assert ran == []


def test_bias_of_the_wrong_shape():
    with pytest.raises(ShapeError, match=r"conv2d: bias has shape \(4,\).*\(8,\)"):
        conv2d(pg.zeros(X), pg.zeros(W), pg.zeros(4))


@pytest.mark.parametrize("which", ["x", "weight", "bias"])
@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_integers_are_refused(which, dtype):
    given = {"x": pg.zeros(X), "weight": pg.zeros(W), "bias": pg.zeros(8)}
    given[which] = given[which].astype(dtype)
    with pytest.raises(DTypeError, match=rf"conv2d: {which} is {dtype}.*astype"):
        conv2d(**given)


@pytest.mark.parametrize(
    ("attrs", "match"), [({"layout": "CHWN"}, "layout is 'CHWN'"), ({"padding": "full"}, "padding is 'full'")]
)
def test_unknown_words(attrs, match):
    with pytest.raises(ValueError, match=f"conv2d: {match}; use"):
        conv2d(pg.zeros(X), pg.zeros(W), **attrs)


def test_a_cotangent_that_does_not_fit():
    attrs = dict(stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1, layout="NCHW")
    with pytest.raises(ShapeError, match=r"conv2d_input_bwd: the cotangent has shape \(2, 8, 5, 5\)"):
        pg.OPS["nn.conv2d_input_bwd"](pg.zeros((2, 8, 5, 5)), pg.zeros(W), size=(7, 6), **attrs)
    with pytest.raises(ShapeError, match=r"conv2d_weight_bwd: the cotangent has shape \(2, 8, 5, 5\)"):
        pg.OPS["nn.conv2d_weight_bwd"](pg.zeros((2, 8, 5, 5)), pg.zeros(X), kernel=(3, 3), **attrs)
