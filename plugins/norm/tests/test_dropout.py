"""Dropout: which elements go, that the mask is a function of the key alone, and its behaviour under transformations."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError, StateError
from plugrad_norm import Dropout, dropout
from plugrad_norm.ops import DROPOUT


def mask(key: pg.Tensor, shape: tuple[int, ...], p: float) -> np.ndarray:
    """What is kept, from the key's uniform numbers."""
    return pg.random.uniform(key, shape).numpy() < np.float32(1.0 - p)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_values_are_zero_or_scaled(device: str, p: float):
    x = np.random.default_rng(0).normal(size=(50, 40))
    key = pg.random.key(3)
    y = dropout(pg.asarray(x), p, key).numpy()
    keep = mask(key, x.shape, p)
    np.testing.assert_allclose(y, np.where(keep, x / (1.0 - p), 0.0), rtol=1e-14)
    assert abs(keep.mean() - (1.0 - p)) < 4 * np.sqrt(p * (1 - p) / x.size)


def test_the_mask_is_the_same_on_every_device_and_dtype(device: str):
    key = pg.random.key(9)
    want = dropout(pg.ones((64,), device="numpy"), 0.4, key.to("numpy")).numpy() == 0
    for dtype in ("float32", "float64"):
        np.testing.assert_array_equal(dropout(pg.ones((64,), dtype=dtype), 0.4, key).numpy() == 0, want)


def test_what_is_not_finite_can_be_dropped(device: str):
    y = dropout(pg.full((100,), np.inf), 0.5, pg.random.key(0)).numpy()
    assert np.isin(y, [0.0, np.inf]).all() and (y == 0.0).any()


def test_keys_come_from_the_default_generator_or_ones_own(device: str):
    x = pg.ones((200,))
    pg.manual_seed(5)
    first, second = dropout(x, 0.5).numpy(), dropout(x, 0.5).numpy()
    pg.manual_seed(5)
    np.testing.assert_array_equal(dropout(x, 0.5).numpy(), first)
    assert (first != second).any()
    layer = Dropout(0.5, pg.random.Generator(5))
    np.testing.assert_array_equal(layer(x).numpy(), first)
    np.testing.assert_array_equal(layer(x).numpy(), second)


def test_evaluation_and_p_zero_are_the_identity_and_draw_nothing(device: str):
    generator = pg.random.Generator(1)
    x = pg.ones((4,))
    assert Dropout(0.5, generator).eval()(x) is x
    assert Dropout(0.0, generator)(x) is x
    assert dropout(x, 0.0) is x
    assert generator.state.tolist() == [1, 0]


def test_gradient_is_the_same_mask_and_nothing_large_is_kept(device: str):
    x = pg.asarray(np.random.default_rng(1).normal(size=(30,)))
    key = pg.random.key(4)
    g = pg.grad(lambda v: (dropout(v, 0.3, key) * pg.arange(30).astype("float64")).sum())(x)
    np.testing.assert_allclose(g.numpy(), np.where(mask(key, (30,), 0.3), np.arange(30) / 0.7, 0.0), rtol=1e-14)
    assert DROPOUT.saves == (1,) and not DROPOUT.save_output


def test_forward_mode_and_second_order(device: str):
    x, t = [pg.asarray(v) for v in np.random.default_rng(2).normal(size=(2, 30))]
    key = pg.random.key(4)
    keep = mask(key, (30,), 0.3) / 0.7
    y, dy = pg.jvp(lambda v: dropout(v, 0.3, key), (x,), (t,))
    np.testing.assert_allclose(dy.numpy(), keep * t.numpy(), rtol=1e-14)
    h = pg.hvp(lambda v: (dropout(v, 0.3, key) ** 3).sum(), (x,), (t,))
    np.testing.assert_allclose(h.numpy(), 6.0 * keep**3 * x.numpy() * t.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(y.numpy(), keep * x.numpy(), rtol=1e-14)


def test_vmap_over_keys_gives_each_example_its_own_mask(device: str):
    keys = pg.random.split(pg.random.key(8), 3)
    x = pg.asarray(np.random.default_rng(2).normal(size=(3, 5, 4)))
    want = np.stack([dropout(x[i], 0.5, keys[i]).numpy() for i in range(3)])
    np.testing.assert_array_equal(pg.vmap(lambda v, k: dropout(v, 0.5, k))(x, keys).numpy(), want)
    shared = np.stack([dropout(x[0], 0.5, keys[i]).numpy() for i in range(3)])
    np.testing.assert_array_equal(pg.vmap(lambda k: dropout(x[0], 0.5, k))(keys).numpy(), shared)
    grads = pg.vmap(pg.grad(lambda v, k: (dropout(v, 0.5, k) ** 2).sum()))(x, keys)
    np.testing.assert_allclose(grads.numpy(), 4.0 * want, rtol=1e-14)
    twice = pg.vmap(lambda v: pg.vmap(lambda u, k: dropout(u, 0.5, k))(v, keys), in_axes=1, out_axes=1)(x)
    again = [dropout(x[i, 2], 0.5, keys[i]).numpy() for i in range(3)]
    np.testing.assert_array_equal(twice.numpy()[:, 2], np.stack(again))


def test_vmap_with_a_generator(device: str):
    x = pg.ones((3, 200))
    layer = Dropout(0.5, pg.random.Generator(2))
    with pytest.raises(StateError, match=r"randomness='same'.*randomness='different'"):
        pg.vmap(layer)(x)
    assert layer.generator.state.tolist() == [2, 0]
    same = pg.vmap(layer, randomness="same")(x).numpy()
    assert (same[0] == same[1]).all() and (same[0] == same[2]).all()
    assert layer.generator.state.tolist() == [2, 1]
    np.testing.assert_array_equal(same[0], Dropout(0.5, pg.random.Generator(2))(x[0]).numpy())
    different = pg.vmap(layer, randomness="different")(x).numpy()
    assert (different[0] != different[1]).any() and (different[1] != different[2]).any()
    assert set(np.unique(different)) == {0.0, 2.0}


def test_staged_draws_are_new_at_each_call(device: str):
    layer, other = Dropout(0.5, pg.random.Generator(2)), Dropout(0.5, pg.random.Generator(2))
    x = pg.ones((200,))
    step = pg.stage(layer, x)
    for _ in range(3):
        np.testing.assert_array_equal(step(x).numpy(), other(x).numpy())


def test_two_layers_drop_independently(device: str):
    x = pg.ones((400,))
    a, b = Dropout(0.5), Dropout(0.5)
    both = (a(x).numpy() != 0) == (b(x).numpy() != 0)
    assert 0.35 < both.mean() < 0.65


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_p_out_of_range(device: str, p: float):
    for make in (lambda: Dropout(p), lambda: dropout(pg.ones(3), p)):
        with pytest.raises(ValueError, match=r"ropout: p is .*at least 0 and below 1"):
            make()


def test_errors_name_op_shapes_and_remedy(device: str):
    with pytest.raises(TypeError, match=r"Dropout: generator is a int; give a plugrad\.random\.Generator"):
        Dropout(0.5, 3)
    with pytest.raises(DTypeError, match=r"dropout: not defined for int64; cast"):
        dropout(pg.arange(3), 0.5)
    with pytest.raises(DTypeError, match=r"norm\.dropout: the key is float32; make a uint32 key"):
        dropout(pg.ones(3), 0.5, pg.ones(2))
    with pytest.raises(ShapeError, match=r"norm\.dropout: x has shape \(3,\), the key \(4, 2\)"):
        dropout(pg.ones(3), 0.5, pg.random.split(pg.random.key(0), 4))
