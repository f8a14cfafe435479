"""Batch normalisation against NumPy and central differences in float64; running statistics as PyTorch keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError
from plugrad_norm import BatchNorm1d, BatchNorm2d, batch_norm
from plugrad_norm.functional import normalize
from plugrad_norm.ops import BATCH_NORM, BATCH_NORM_BWD

EPS = 1e-3
SHAPES = [((4, 3), 1), ((2, 3, 5), 1), ((2, 3, 4, 2), 1), ((2, 4, 2, 3), 3), ((3, 4, 2), 0)]


def numbers(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(6)
    return [rng.normal(size=s) * 2.0 + 1.0 for s in shapes]


def on_axis(v: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    return v.reshape([-1 if i == axis else 1 for i in range(x.ndim)])


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    others = tuple(i for i in range(x.ndim) if i != axis)
    mean, var = x.mean(others), x.var(others)
    h = (x - on_axis(mean, x, axis)) / np.sqrt(on_axis(var, x, axis) + EPS)
    return h * on_axis(w, x, axis) + on_axis(b, x, axis), mean, var


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_values_and_statistics(device: str, shape: tuple[int, ...], axis: int):
    x, w, b = numbers(shape, (shape[axis],), (shape[axis],))
    found = batch_norm(*map(pg.asarray, (x, w, b)), axis=axis - len(shape), eps=EPS)
    for got, want in zip(found, forward(x, w, b, axis), strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_gradients_against_central_differences(device: str, shape: tuple[int, ...], axis: int, which: int):
    values = numbers(shape, (shape[axis],), (shape[axis],))
    c, d = numbers(shape, values[which].shape)

    def f(*a: pg.Tensor) -> pg.Tensor:
        return (batch_norm(*a, axis=axis, eps=EPS)[0] * pg.asarray(c)).sum()

    g = pg.grad(f, which)(*map(pg.asarray, values))

    def at(shift: float) -> float:
        moved = [v + shift * d if i == which else v for i, v in enumerate(values)]
        return float((forward(*moved, axis)[0] * c).sum())

    np.testing.assert_allclose((g.numpy() * d).sum(), (at(1e-6) - at(-1e-6)) / 2e-6, rtol=1e-7, atol=1e-8)


def test_the_twin_is_used_and_equals_the_derivative_of_the_decomposition(device: str, monkeypatch: pytest.MonkeyPatch):
    """One node a call: its rule is the twin. The decomposition's own derivative is an independent second way."""
    x, w, b, c = map(pg.asarray, numbers((4, 3, 2), (3,), (3,), (4, 3, 2)))
    calls: list[str] = []
    twin = BATCH_NORM_BWD.decompose
    monkeypatch.setattr(BATCH_NORM_BWD, "decompose", lambda *a, **k: calls.append("twin") or twin(*a, **k))

    def by_op(*a: pg.Tensor) -> pg.Tensor:
        return (BATCH_NORM(*a, axis=1, eps=EPS)[0] * c).sum()

    def by_parts(*a: pg.Tensor) -> pg.Tensor:
        return (BATCH_NORM.decompose(*a, axis=1, eps=EPS)[0] * c).sum()

    expected = pg.grad(by_parts, (0, 1, 2))(x, w, b)
    assert calls == []
    for got, want in zip(pg.grad(by_op, (0, 1, 2))(x, w, b), expected, strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-10, atol=1e-12)
    assert calls == ["twin"]


def everything(x: pg.Tensor, w: pg.Tensor, b: pg.Tensor) -> tuple[pg.Tensor, ...]:
    def f(*a: pg.Tensor) -> pg.Tensor:
        y, mean, var = batch_norm(*a, axis=1, eps=EPS)
        return pg.sin(y).sum() + (mean * var).sum()

    value, grads = pg.value_and_grad(f, (0, 1, 2))(x, w, b)
    second = pg.grad(lambda v: (pg.grad(f)(v, w, b) ** 2).sum())(x)
    return (value, *grads, second, *batch_norm(x, w, b, axis=1, eps=EPS))


@pytest.mark.parametrize("batched", [(x, w, b) for x in (0, None) for w in (0, None) for b in (0, None)][:-1])
def test_batch_rules_equal_a_loop(device: str, batched: tuple[int | None, ...]):
    shapes = [(4, 3, 2), (3,), (3,)]
    args = [pg.asarray(v) for v in numbers(*[(5, *s) if a == 0 else s for a, s in zip(batched, shapes, strict=True)])]
    found = pg.vmap(everything, in_axes=batched)(*args)
    for i in range(5):
        alone = everything(*[v[i] if a == 0 else v for a, v in zip(batched, args, strict=True)])
        for got, want in zip(found, alone, strict=True):
            np.testing.assert_allclose(got.numpy()[i], want.numpy(), rtol=1e-9, atol=1e-11)


def test_statistics_carry_gradients_too(device: str):
    """A loss of mean and var: against central differences, first and second order, by reverse over reverse."""
    x, d, c = numbers((4, 3), (4, 3), (4, 3))

    def f(v: pg.Tensor) -> pg.Tensor:
        y, mean, var = batch_norm(v, eps=EPS)
        return (pg.sin(y) * pg.asarray(c)).sum() + (mean**2 * var).sum()

    def along(v: pg.Tensor) -> pg.Tensor:
        return (pg.grad(f)(v) * pg.asarray(d)).sum()

    for function in (f, along):
        up, down = [function(pg.asarray(x + s * d)).item() for s in (1e-6, -1e-6)]
        found = (pg.grad(function)(pg.asarray(x)).numpy() * d).sum()
        np.testing.assert_allclose(found, (up - down) / 2e-6, rtol=1e-6)


def test_second_order_against_central_differences(device: str):
    x, w, b, d = numbers((4, 3), (3,), (3,), (4, 3))

    def g(at: np.ndarray) -> pg.Tensor:
        return pg.grad(lambda v: pg.sin(batch_norm(v, pg.asarray(w), pg.asarray(b), eps=EPS)[0]).sum())(pg.asarray(at))

    def f(v: pg.Tensor) -> pg.Tensor:
        return pg.sin(batch_norm(v, pg.asarray(w), pg.asarray(b), eps=EPS)[0]).sum()

    want = (g(x + 1e-5 * d).numpy() - g(x - 1e-5 * d).numpy()) / 2e-5
    np.testing.assert_allclose(pg.hvp(f, (pg.asarray(x),), (pg.asarray(d),)).numpy(), want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_computes_in_float32(dtype: str):
    x = pg.asarray([[-300.0], [0.0], [300.0], [600.0]], dtype=dtype, device="numpy")
    ones, zeros = x.ones_like((1,)), x.zeros_like((1,))
    y, mean, _ = BATCH_NORM(x, ones, zeros, axis=1, eps=EPS)
    assert y.dtype == mean.dtype == x.dtype
    wide = x.astype("float64").numpy()
    np.testing.assert_allclose(y.astype("float64").numpy(), forward(wide, np.ones(1), np.zeros(1), 1)[0], atol=0.02)


# -- layers


def follow(layer: Any, batches: list[np.ndarray], axis: int, momentum: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The running statistics in NumPy, with the unbiased variance."""
    mean, var = np.zeros(layer.num_features), np.ones(layer.num_features)
    for k, x in enumerate(batches, 1):
        others = tuple(i for i in range(x.ndim) if i != axis)
        rate = 1.0 / k if momentum is None else momentum
        mean = (1 - rate) * mean + rate * x.mean(others)
        var = (1 - rate) * var + rate * x.var(others, ddof=1)
    return mean, var


@pytest.mark.parametrize("momentum", [0.1, 0.75, 0.0, 1.0, None])
@pytest.mark.parametrize(
    ("kind", "layout", "shape", "axis"),
    [
        (BatchNorm1d, "NCL", (5, 3), 1),
        (BatchNorm1d, "NCL", (2, 3, 4), 1),
        (BatchNorm1d, "NLC", (2, 4, 3), 2),
        (BatchNorm2d, "NCHW", (2, 3, 4, 2), 1),
        (BatchNorm2d, "NHWC", (2, 4, 2, 3), 3),
    ],
)
def test_running_statistics_and_both_modes(
    device: str, kind: Any, layout: str, shape: tuple[int, ...], axis: int, momentum: float | None
):
    layer = kind(3, eps=EPS, momentum=momentum, layout=layout, dtype="float64")
    w, b = numbers((3,), (3,))
    layer.weight.assign(pg.asarray(w))
    layer.bias.assign(pg.asarray(b))
    rng = np.random.default_rng(8)
    batches = [rng.normal(size=shape) * (i + 1) + i for i in range(3)]
    for x in batches:
        y = layer(pg.asarray(x))
        np.testing.assert_allclose(y.detach().numpy(), forward(x, w, b, axis)[0], rtol=1e-11, atol=1e-11)
    mean, var = follow(layer, batches, axis, momentum)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-11, atol=1e-12)
    assert layer.num_batches.item() == 3
    layer.eval()
    x = batches[0]
    h = (x - on_axis(mean, x, axis)) / np.sqrt(on_axis(var, x, axis) + EPS)
    y = layer(pg.asarray(x))
    want = h * on_axis(w, x, axis) + on_axis(b, x, axis)
    np.testing.assert_allclose(y.detach().numpy(), want, rtol=1e-10, atol=1e-10)
    assert layer.num_batches.item() == 3


def test_without_running_statistics_the_batch_counts_in_both_modes(device: str):
    layer = BatchNorm2d(3, track_running_stats=False, affine=False, dtype="float64")
    (x,) = numbers((2, 3, 4, 4))
    y = layer(pg.asarray(x)).numpy()
    np.testing.assert_array_equal(y, layer.eval()(pg.asarray(x)).numpy())
    assert layer.state_dict() == {} and layer.buffers() == []


def test_statistics_are_never_recorded_and_do_not_hold_the_tape(device: str):
    layer = BatchNorm1d(3)
    for _ in range(3):
        y = layer(pg.asarray(numbers((4, 3))[0].astype(np.float32)))
    y.sum().backward()
    for buffer in layer.buffers():
        assert not buffer.requires_grad and buffer.node is None


def test_state_dict_round_trip(device: str):
    one, two = BatchNorm2d(3), BatchNorm2d(3)
    one(pg.asarray(numbers((2, 3, 4, 4))[0].astype(np.float32)))
    assert list(one.state_dict()) == ["weight", "bias", "running_mean", "running_var", "num_batches"]
    two.load_state_dict(one.state_dict())
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_moving_a_layer_keeps_its_handles():
    layer = BatchNorm2d(3, device="numpy")
    before = layer.buffers()
    assert layer.to("numpy").buffers() == before


def test_normalize_needs_no_affine(device: str):
    x, mean = numbers((4, 3), (3,))
    y = normalize(*map(pg.asarray, (x, mean, np.ones(3))), eps=0.0)
    np.testing.assert_allclose(y.numpy(), x - mean, rtol=1e-12)


def test_errors_name_the_layer_shapes_and_remedy(device: str):
    layer = BatchNorm2d(3)
    with pytest.raises(ShapeError, match=r"BatchNorm2d: x has shape \(2, 3\); give 4 dimensions, as in NCHW"):
        layer(pg.ones((2, 3)))
    with pytest.raises(
        ShapeError, match=r"BatchNorm2d: x has shape \(2, 4, 1, 1\), 4 channels along axis 1; .* 3 channels"
    ):
        layer(pg.ones((2, 4, 1, 1)))
    with pytest.raises(ShapeError, match=r"BatchNorm1d: .* 1 value for each channel; .*model\.eval\(\)"):
        BatchNorm1d(3)(pg.ones((1, 3)))
    assert layer.num_batches.item() == 0
    BatchNorm1d(3).eval()(pg.ones((1, 3)))
    with pytest.raises(ShapeError, match="num_features is 0"):
        BatchNorm2d(0)
    with pytest.raises(ValueError, match="BatchNorm2d: momentum is 1.5"):
        BatchNorm2d(3, momentum=1.5)
    with pytest.raises(ValueError, match="BatchNorm1d: layout 'NCHW' is unknown; use one of 'NCL', 'NLC'"):
        BatchNorm1d(3, layout="NCHW")
    with pytest.raises(ValueError, match="eps is nan"):
        BatchNorm2d(3, eps=float("nan"))
    with pytest.raises(ShapeError, match="batch_norm: axis 2 is out of range"):
        batch_norm(pg.ones((2, 3)), axis=2)
    with pytest.raises(
        ShapeError, match=r"norm\.batch_norm: w has shape \(2,\), x has shape \(2, 3\); give w the shape \(3,\)"
    ):
        batch_norm(pg.ones((2, 3)), pg.ones(2), pg.ones(3))
    with pytest.raises(ShapeError, match="at least one element"):
        batch_norm(pg.ones((0, 3)))
    with pytest.raises(DTypeError, match=r"norm\.batch_norm: not defined for int64"):
        batch_norm(pg.ones((2, 3), dtype=pg.int64))
    with pytest.raises(ShapeError, match=r"batch_norm_bwd: g has shape \(2, 2\)"):
        BATCH_NORM_BWD(pg.ones((2, 2)), pg.ones((2, 3)), *[pg.ones(3)] * 3, axis=1, eps=EPS)
