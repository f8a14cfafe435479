"""Layer normalisation against NumPy and central differences in float64."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DeviceError, DTypeError, ShapeError
from plugrad_norm import LayerNorm, layer_norm
from plugrad_norm.ops import LAYER_NORM, LAYER_NORM_BWD

EPS = 1e-3


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean = x.mean(-1, keepdims=True)
    rstd = 1.0 / np.sqrt(x.var(-1, keepdims=True) + EPS)
    return (x - mean) * rstd * w + b, mean, rstd


def numbers(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.normal(size=s) * 2.0 + 1.0 for s in shapes]


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (4, 1), (0, 5), (2, 70)])
def test_values_and_residuals(device: str, shape: tuple[int, ...]):
    x, w, b = numbers(shape, shape[-1:], shape[-1:])
    found = LAYER_NORM(*map(pg.asarray, (x, w, b)), eps=EPS)
    for got, want in zip(found, forward(x, w, b), strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_gradients_against_central_differences(device: str, which: int):
    values = numbers((2, 3, 5), (5,), (5,))
    c, d = numbers((2, 3, 5), values[which].shape)
    g = pg.grad(lambda *a: (layer_norm(*a, eps=EPS) * pg.asarray(c)).sum(), which)(*map(pg.asarray, values))

    def at(shift: float) -> float:
        moved = [v + shift * d if i == which else v for i, v in enumerate(values)]
        return float((forward(*moved)[0] * c).sum())

    np.testing.assert_allclose((g.numpy() * d).sum(), (at(1e-6) - at(-1e-6)) / 2e-6, rtol=1e-7)


def test_gradient_of_rows_far_from_zero_is_not_lost(device: str):
    """Two passes: a mean of 1e4 with deviations of 1 in float32."""
    x, w, b = [v.astype(np.float32) for v in numbers((4, 64), (64,), (64,))]
    x = x + np.float32(1e4)
    y = layer_norm(*map(pg.asarray, (x, w, b)), eps=EPS)
    np.testing.assert_allclose(y.numpy(), forward(*[v.astype(np.float64) for v in (x, w, b)])[0], rtol=0, atol=2e-2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_computes_in_float32(dtype: str):
    """Squares of 300 overflow float16; the variance does not."""
    x = pg.asarray([[-300.0, 0.0, 300.0, 600.0]], dtype=dtype, device="numpy")
    y, mean, rstd = LAYER_NORM(x, x.ones_like((4,)), x.zeros_like((4,)), eps=EPS)
    assert y.dtype == mean.dtype == rstd.dtype == x.dtype
    want = forward(x.astype("float64").numpy(), np.ones(4), np.zeros(4))[0]
    np.testing.assert_allclose(y.astype("float64").numpy(), want, atol=0.02)
    dx, _, _ = LAYER_NORM_BWD(x, x, x.ones_like((4,)), mean, rstd)
    assert np.isfinite(dx.astype("float64").numpy()).all()


def test_weights_of_another_dtype_promote(device: str):
    x, w, b = numbers((3, 5), (5,), (5,))
    y = layer_norm(pg.asarray(x.astype(np.float32)), pg.asarray(w), pg.asarray(b))
    assert y.dtype == pg.float64
    g = pg.grad(lambda x: layer_norm(x, pg.asarray(w), pg.asarray(b)).sum())(pg.asarray(x.astype(np.float32)))
    assert g.dtype == pg.float32


def test_layer_over_several_dimensions(device: str):
    layer = LayerNorm((3, 5), eps=EPS, dtype="float64")
    x, w, b = numbers((2, 3, 5), (3, 5), (3, 5))
    layer.weight.assign(pg.asarray(w))
    layer.bias.assign(pg.asarray(b))
    want = forward(x.reshape(2, 15), w.reshape(15), b.reshape(15))[0].reshape(2, 3, 5)
    np.testing.assert_allclose(layer(pg.asarray(x)).detach().numpy(), want, rtol=1e-12)
    (layer(pg.asarray(x)) ** 2).sum().backward()
    assert layer.weight.grad.shape == (3, 5) and layer.bias.grad.shape == (3, 5)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_layer_begins_as_plain_normalisation(device: str):
    x = numbers((4, 6))[0].astype(np.float32)
    with_affine, without = LayerNorm(6), LayerNorm(6, affine=False)
    np.testing.assert_array_equal(with_affine(pg.asarray(x)).detach().numpy(), without(pg.asarray(x)).numpy())
    assert with_affine.weight.dtype == pg.float32 and without.parameters() == []
    assert "(6,)" in repr(with_affine) and "affine=False" in repr(without)


def test_errors_name_op_shapes_and_remedy(device: str):
    x = pg.ones((2, 5))
    with pytest.raises(
        ShapeError, match=r"norm\.layer_norm: w has shape \(4,\), x has shape \(2, 5\); give w the shape \(5,\)"
    ):
        layer_norm(x, pg.ones(4), pg.ones(5))
    with pytest.raises(ShapeError, match=r"norm\.layer_norm: b has shape \(1, 5\)"):
        layer_norm(x, pg.ones(5), pg.ones((1, 5)))
    with pytest.raises(ShapeError, match="at least one element"):
        layer_norm(pg.ones((2, 0)))
    with pytest.raises(ShapeError, match="0-d"):
        layer_norm(pg.asarray(1.0))
    with pytest.raises(DTypeError, match=r"norm\.layer_norm: not defined for int64; cast"):
        layer_norm(pg.arange(5))
    with pytest.raises(ShapeError, match=r"LayerNorm: x has shape \(2, 5\), this layer was made for \(2, 3\)"):
        LayerNorm((2, 3))(x)
    with pytest.raises(ShapeError, match="LayerNorm: shape"):
        LayerNorm((3, 0))
    with pytest.raises(ValueError, match="LayerNorm: eps is -1"):
        LayerNorm(3, eps=-1.0)
    with pytest.raises(
        ShapeError, match=r"layer_norm_bwd: rstd has shape \(2,\), x \(2, 5\); rstd needs shape \(2, 1\)"
    ):
        LAYER_NORM_BWD(x, x, pg.ones(5), pg.ones((2, 1)), pg.ones(2))


@pytest.mark.parametrize("device", ["cpu"], indirect=True)
def test_operands_on_two_devices(device: str):
    with pytest.raises(DeviceError, match=r"norm\.layer_norm.*\.to\("):
        layer_norm(pg.ones((2, 5)), pg.ones(5, device="numpy"), pg.ones(5))
