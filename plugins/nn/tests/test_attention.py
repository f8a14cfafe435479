"""Attention against its definition, masks, derivatives, and the multi-head layer against heads computed one by one."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
import plugrad_nn as nn
from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import check_derivatives, check_vmap


def definition(q, k, v, mask=None, scale=None):
    """Query by query; zeros where a query may look nowhere."""
    lead = q.shape[:-2]
    out = np.zeros((*lead, q.shape[-2], v.shape[-1]))
    allowed = np.broadcast_to(True if mask is None else mask, (*lead, q.shape[-2], k.shape[-2]))
    for at in np.ndindex(*lead, q.shape[-2]):
        where = at[:-1]
        keys, values = k[where][allowed[at]], v[where][allowed[at]]
        if len(keys):
            scores = keys @ q[at] * (q.shape[-1] ** -0.5 if scale is None else scale)
            weights = np.exp(scores - scores.max())
            out[at] = weights @ values / weights.sum()
    return out


def operands(rng, lead=(2,), n=4, m=5, d=3, e=2):
    return [rng.normal(size=(*lead, *s)) for s in ((n, d), (m, d), (m, e))]


MASK = np.random.default_rng(5).uniform(size=(4, 5)) < 0.6


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_value(rng, lead, masked):
    given = operands(rng, lead)
    mask = MASK if masked else None
    got = nn.attention(*map(pg.asarray, given), mask=mask)
    np.testing.assert_allclose(got.numpy(), definition(*given, mask), rtol=1e-12, atol=1e-12)


def test_scale_and_causality(rng):
    given = operands(rng, n=5)
    tensors = list(map(pg.asarray, given))
    got = nn.attention(*tensors, scale=0.3, causal=True)
    np.testing.assert_allclose(got.numpy(), definition(*given, np.tri(5, dtype=bool), 0.3), rtol=1e-12)
    both = nn.attention(*tensors, mask=np.eye(5, dtype=bool)[::-1].copy(), causal=True)
    np.testing.assert_allclose(both.numpy(), definition(*given, np.tri(5, dtype=bool) & np.eye(5, dtype=bool)[::-1]))


@pytest.mark.parametrize("how", [{}, {"mask": MASK}, {"causal": True}], ids=["all", "mask", "causal"])
def test_derivatives_and_vmap(rng, how):
    given = list(map(pg.asarray, operands(rng)))

    def f(q, k, v):
        return nn.attention(q, k, v, **how)

    check_derivatives(f, *given)
    check_vmap(f, *given)
    check_vmap(pg.grad(lambda *xs: pg.sin(f(*xs)).sum(), argnums=(0, 1, 2)), *given)


def test_derivatives_of_the_residual(rng):
    given = list(map(pg.asarray, operands(rng)))
    op = pg.OPS["nn.attention"]

    def f(q, k, v):
        return op(q, k, v, scale=0.5, causal=True)

    scores = 0.5 * given[0].numpy() @ given[1].numpy().swapaxes(-1, -2)
    wanted = np.log((np.exp(scores) * np.tri(4, 5)).sum(-1))
    np.testing.assert_allclose(f(*given)[1].numpy(), wanted, rtol=1e-12)
    check_derivatives(f, *given)


def test_a_query_that_may_look_nowhere(rng):
    """It gets zeros, and no NaN reaches anybody's gradient."""
    given = list(map(pg.asarray, operands(rng)))
    mask = MASK.copy()
    mask[1] = False
    y = nn.attention(*given, mask=mask)
    assert (y.numpy()[:, 1] == 0).all()
    check_derivatives(lambda *xs: nn.attention(*xs, mask=mask), *given)


def test_large_scores_do_not_overflow():
    q, v = pg.asarray([[1e4], [-1e4]]), pg.asarray([[1.0], [2.0]])
    assert nn.attention(q, q, v).tolist() == [[1.0], [2.0]]
    assert np.isfinite(pg.grad(lambda q: nn.attention(q, q, v).sum())(q).numpy()).all()


def test_attention_stays_whole_under_vmap_of_grad(rng, spy):
    given = list(map(pg.asarray, operands(rng)))
    pg.vmap(pg.grad(lambda *xs: pg.sin(nn.attention(*xs)).sum(), argnums=(0, 1, 2)))(*given)
    assert spy.names == {"nn.attention", "nn.attention_bwd"}
    assert spy.torn == set()


@pytest.mark.parametrize(
    ("q", "k", "v", "words"),
    [
        ((4, 3), (5, 2), (5, 2), ["(4, 3)", "(5, 2)"]),
        ((4, 3), (5, 3), (4, 2), ["(5, 3)", "(4, 2)"]),
        ((2, 4, 3), (3, 5, 3), (3, 5, 2), ["same leading axes"]),
        ((2, 4, 3), (5, 3), (5, 2), ["same leading axes"]),
        ((3,), (5, 3), (5, 2), ["(3,)", "two axes"]),
        ((4, 3), (0, 3), (0, 2), ["nothing to attend to"]),
    ],
)
def test_misfits(q, k, v, words):
    with pytest.raises(ShapeError) as caught:
        nn.attention(pg.zeros(q), pg.zeros(k), pg.zeros(v))
    assert "attention: " in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


def test_bad_masks():
    given = pg.zeros((4, 3)), pg.zeros((5, 3)), pg.zeros((5, 2))
    with pytest.raises(DTypeError, match="attention: mask is float32; it must be bool"):
        nn.attention(*given, mask=pg.zeros((4, 5)))
    with pytest.raises(ShapeError, match=r"\(5, 4\).*\(4, 5\)"):
        nn.attention(*given, mask=np.ones((5, 4), bool))
    with pytest.raises(DTypeError, match="attention: key is int64"):
        nn.attention(given[0], given[1].astype("int64"), given[2])


@pytest.mark.parametrize("causal", [False, True])
def test_heads_are_attentions_side_by_side(rng, causal):
    layer = nn.MultiHeadAttention(6, 3, causal=causal, dtype="float64")
    for p in layer.parameters():
        p.assign(rng.normal(size=p.shape))
    x, other = rng.normal(size=(2, 4, 6)), rng.normal(size=(2, 4, 6))
    mask = np.tri(4, dtype=bool) if causal else None
    w = {name: value.numpy() for name, value in layer.state_dict().items()}
    q, k, v = [at @ w[f"{name}.weight"].T + w[f"{name}.bias"] for name, at in (("q", x), ("k", other), ("v", other))]
    heads = [definition(*[t[..., 2 * h : 2 * h + 2] for t in (q, k, v)], mask) for h in range(3)]
    wanted = np.concatenate(heads, -1) @ w["out.weight"].T + w["out.bias"]
    got = layer(pg.asarray(x), pg.asarray(other))
    np.testing.assert_allclose(got.detach().numpy(), wanted, rtol=1e-10, atol=1e-12)


def test_the_layer_masks_every_head_and_takes_itself(rng):
    layer = nn.MultiHeadAttention(6, 2, dtype="float64")
    x = pg.asarray(rng.normal(size=(2, 4, 6)))
    one = layer(x, mask=np.tri(4, dtype=bool)).detach().numpy()
    causal = nn.MultiHeadAttention(6, 2, causal=True, dtype="float64")
    causal.load_state_dict(layer.state_dict())
    np.testing.assert_allclose(one, causal(x).detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(layer(x).detach().numpy(), layer(x, x, x).detach().numpy(), rtol=1e-12)
    layer(x).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    assert len(nn.MultiHeadAttention(6, 2, bias=False).parameters()) == 4


def test_configuration_of_the_layer():
    with pytest.raises(ShapeError, match="MultiHeadAttention: features=6 do not divide into heads=4"):
        nn.MultiHeadAttention(6, 4)
    one, two = (nn.MultiHeadAttention(6, 2, key=pg.random.key(3)) for _ in range(2))
    assert (one.v.weight == two.v.weight).all()
    assert (one.q.weight != one.k.weight).any()
    assert repr(nn.MultiHeadAttention(6, 2, causal=True)).startswith("MultiHeadAttention(6, 2, causal=True")
