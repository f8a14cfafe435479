"""Losses against their definitions, at extremes, with wrong labels, and their derivatives, that of the residual output
included.
"""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import check_derivatives, check_vmap
from plugrad_nn import binary_cross_entropy_with_logits, cross_entropy, mse_loss

LABELS = np.array([[0, 3, 1], [2, 2, 0]])


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def picked(p, labels):
    return np.take_along_axis(p, labels[..., None], -1)[..., 0]


@pytest.mark.parametrize(("reduction", "reduce"), [("mean", np.mean), ("sum", np.sum), ("none", np.asarray)])
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_cross_entropy(rng, reduction, reduce, dtype):
    x, labels = rng.normal(size=(2, 3, 4)), LABELS.astype(dtype)
    got = cross_entropy(pg.asarray(x), pg.asarray(labels), reduction=reduction)
    np.testing.assert_allclose(got.numpy(), reduce(-np.log(picked(softmax(x), LABELS))), rtol=1e-12)


def test_labels_may_be_arrays_or_lists(rng):
    x = pg.asarray(rng.normal(size=(2, 3, 4)))
    wanted = cross_entropy(x, pg.asarray(LABELS)).item()
    assert cross_entropy(x, LABELS).item() == cross_entropy(x, LABELS.tolist()).item() == wanted


def test_the_gradient_is_softmax_minus_onehot(rng):
    x = rng.normal(size=(6, 4))
    labels = rng.integers(0, 4, size=6)
    got = pg.grad(lambda x: cross_entropy(x, pg.asarray(labels), reduction="sum"))(pg.asarray(x))
    np.testing.assert_allclose(got.numpy(), softmax(x) - np.eye(4)[labels], rtol=1e-12, atol=1e-15)


def test_derivatives_of_cross_entropy(rng):
    x, labels = pg.asarray(rng.normal(size=(2, 3, 4))), pg.asarray(LABELS)
    for reduction in ("mean", "none"):
        check_derivatives(lambda x, r=reduction: cross_entropy(x, labels, reduction=r), x)
    check_derivatives(lambda x: pg.sin(cross_entropy(pg.sin(x), labels)), x)


def test_derivatives_of_both_outputs(rng):
    """The log-sum-exp is an output: functions of it, alone and with the loss, have derivatives too."""
    op = pg.OPS["nn.softmax_cross_entropy"]
    x, labels = pg.asarray(rng.normal(size=(2, 3, 4))), pg.asarray(LABELS)
    loss, total = op(x, labels)
    np.testing.assert_allclose(total.numpy(), np.log(np.exp(x.numpy()).sum(-1)), rtol=1e-12)
    assert loss.shape == total.shape == (2, 3)
    check_derivatives(lambda x: op(x, labels), x)
    check_derivatives(lambda x: pg.sin(op(x, labels)[1]), x)
    check_derivatives(lambda x: op(x, labels)[0] * op(x, labels)[1], x)


def test_vmap_over_logits_labels_or_both(rng):
    x, labels = pg.asarray(rng.normal(size=(3, 4))), pg.asarray(LABELS[0])
    check_vmap(lambda x: cross_entropy(x, labels), x)
    check_vmap(lambda x, y: cross_entropy(x, y), x, labels)
    check_vmap(pg.grad(lambda x, y: cross_entropy(x, y)), x, labels)


def test_it_stays_whole_under_nested_transformations(rng, spy):
    x = pg.asarray(rng.normal(size=(2, 3, 4)))

    def f(x, y):
        return pg.jvp(lambda x: cross_entropy(x, y), (x,), (x,))[1] + pg.grad(lambda x: cross_entropy(x, y))(x).sum()

    pg.vmap(f)(x, pg.asarray(LABELS))
    assert spy.names == {"nn.softmax_cross_entropy", "nn.softmax_cross_entropy_bwd"}
    assert spy.torn == set()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_logits_do_not_overflow(dtype):
    x = pg.asarray([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]], dtype=dtype)
    losses = cross_entropy(x, [0, 1], reduction="none")
    np.testing.assert_allclose(losses.numpy(), [0.0, np.log(3)], rtol=1e-5)
    np.testing.assert_allclose(cross_entropy(x, [2, 0], reduction="none").numpy()[0], 2e4)
    gradient = pg.grad(lambda x: cross_entropy(x, [0, 1]))(x).numpy()
    precision = 1e4 * np.finfo(dtype).eps  # of the logits themselves
    np.testing.assert_allclose(gradient, [[0, 0, 0], [1 / 6, -1 / 3, 1 / 6]], atol=precision)


def test_impossible_classes():
    x = pg.asarray([[0.0, -np.inf, 0.0]])
    assert cross_entropy(x, [0]).item() == pytest.approx(np.log(2))
    assert cross_entropy(x, [1]).item() == np.inf
    np.testing.assert_allclose(pg.grad(lambda x: cross_entropy(x, [0]))(x).numpy(), [[-0.5, 0.0, 0.5]])


@pytest.mark.parametrize("bad", [4, -1, 100])
def test_a_label_out_of_range(bad):
    x = pg.zeros((3, 4))
    wanted = rf"label {bad} is not in 0 to 3.*\(3, 4\)"
    ran = []
    with pg.observe(lambda *event: ran.append(event)), pytest.raises(IndexError, match=wanted):
        cross_entropy(x, pg.asarray([0, bad, 1]))
    assert ran == []
    with pytest.raises(IndexError, match=wanted):
        pg.grad(lambda x: cross_entropy(x, pg.asarray([0, bad, 1])))(x)


def test_a_label_out_of_range_under_vmap():
    x, labels = pg.zeros((2, 3, 4)), pg.asarray([[0, 1, 2], [0, 1, 4]])
    with pytest.raises(IndexError, match="label 4 is not in 0 to 3"):
        pg.vmap(cross_entropy)(x, labels)


def test_a_graph_looks_at_labels_when_it_runs():
    staged = pg.stage(cross_entropy, pg.zeros((3, 4)), pg.asarray([0, 1, 2]))
    assert staged(pg.zeros((3, 4)), pg.asarray([0, 1, 2])).item() == pytest.approx(np.log(4))
    for bad in (7, -1):
        with pytest.raises(IndexError, match=f"label {bad} is not in 0 to 3"):
            staged(pg.zeros((3, 4)), pg.asarray([0, bad, 2]))


@pytest.mark.parametrize(
    ("x", "labels", "error", "words"),
    [
        ((3, 4), np.zeros(2, int), ShapeError, ["(3, 4)", "(2,)"]),
        ((3, 4), np.zeros((3, 1), int), ShapeError, ["(3, 1)", "one integer for each row"]),
        ((3, 4), np.zeros((3, 4), int), ShapeError, ["(3, 4)"]),
        ((), np.zeros((), int), ShapeError, ["()"]),
        ((3, 0), np.zeros(3, int), ShapeError, ["(3, 0)"]),
        ((3, 4), np.zeros(3), DTypeError, ["float64", "integers"]),
        ((3, 4), np.zeros(3, bool), DTypeError, ["bool", "integers"]),
    ],
)
def test_misfits_of_cross_entropy(x, labels, error, words):
    with pytest.raises(error) as caught:
        cross_entropy(pg.zeros(x), pg.asarray(labels))
    assert "cross_entropy: " in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(("reduction", "reduce"), [("mean", np.mean), ("sum", np.sum), ("none", np.asarray)])
def test_mse_loss(rng, reduction, reduce):
    x, y = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    got = mse_loss(pg.asarray(x), pg.asarray(y), reduction=reduction)
    np.testing.assert_allclose(got.numpy(), reduce((x - y) ** 2), rtol=1e-12)
    check_derivatives(lambda x, y: mse_loss(x, y, reduction=reduction), pg.asarray(x), pg.asarray(y))
    assert mse_loss(pg.asarray(x), y).item() == pytest.approx(((x - y) ** 2).mean())


@pytest.mark.parametrize(("reduction", "reduce"), [("mean", np.mean), ("sum", np.sum), ("none", np.asarray)])
def test_binary_cross_entropy(rng, reduction, reduce):
    x, y = rng.normal(size=(3, 4)), rng.uniform(size=(3, 4))
    p = 1 / (1 + np.exp(-x))
    got = binary_cross_entropy_with_logits(pg.asarray(x), pg.asarray(y), reduction=reduction)
    np.testing.assert_allclose(got.numpy(), reduce(-(y * np.log(p) + (1 - y) * np.log(1 - p))), rtol=1e-12)
    check_derivatives(lambda x: binary_cross_entropy_with_logits(x, pg.asarray(y)), pg.asarray(x))
    extreme = binary_cross_entropy_with_logits(
        pg.asarray([-1e4, 1e4, 1e4]), pg.asarray([0.0, 1.0, 0.0]), reduction="none"
    )
    assert extreme.tolist() == [0.0, 0.0, 1e4]


@pytest.mark.parametrize("loss", [mse_loss, binary_cross_entropy_with_logits])
def test_nothing_is_broadcast(loss):
    with pytest.raises(ShapeError, match=rf"{loss.__name__}: prediction has shape \(3, 1\), target \(3,\).*reshape"):
        loss(pg.zeros((3, 1)), pg.zeros(3))
    with pytest.raises(DTypeError, match=f"{loss.__name__}: prediction is int64"):
        loss(pg.zeros(3, dtype="int64"), pg.zeros(3))


@pytest.mark.parametrize("loss", [cross_entropy, mse_loss, binary_cross_entropy_with_logits])
def test_unknown_reduction(loss):
    with pytest.raises(ValueError, match=f"{loss.__name__}: reduction is 'avg'; use 'mean' or 'sum' or 'none'"):
        loss(pg.zeros((3, 4)), pg.zeros(3, dtype="int64"), reduction="avg")
