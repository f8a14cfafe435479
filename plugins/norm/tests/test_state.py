"""A net with BatchNorm and Dropout is the same under every transformation: losses, gradients, statistics (once)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import StateError
from plugrad_norm import BatchNorm1d, Dropout

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4))
X2 = RNG.normal(size=(8, 4)) * 2.0 + 1.0
LABELS = RNG.integers(0, 3, 8)
NAMES = ("w1", "b1", "w2", "b2")


class Net(pg.Module):
    """Linear, BatchNorm, tanh, Dropout, Linear, in float64."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.w1, self.b1 = pg.Parameter(rng.normal(size=(4, 6))), pg.Parameter(rng.normal(size=6))
        self.norm = BatchNorm1d(6, dtype="float64")
        self.drop = Dropout(0.3, pg.random.Generator(7, device="numpy"))
        self.w2, self.b2 = pg.Parameter(rng.normal(size=(6, 3))), pg.Parameter(rng.normal(size=3))

    def hidden(self, x: pg.Tensor) -> pg.Tensor:
        return self.drop(pg.tanh(self.norm(x @ self.w1 + self.b1)))

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        return self.hidden(x) @ self.w2 + self.b2


class Checkpointed(Net):
    """The same net, the hidden layer computed again in the backward."""

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        return pg.checkpoint(self.hidden)(x) @ self.w2 + self.b2


def loss(model: Any, x: pg.Tensor) -> pg.Tensor:
    """Mean cross-entropy."""
    scores = model(x)
    scores = scores - pg.stop_gradient(scores.max(axis=-1, keepdims=True))
    log_p = scores - pg.log(pg.exp(scores).sum(axis=-1, keepdims=True))
    return -(log_p * pg.one_hot(pg.asarray(LABELS), 3, dtype="float64")).sum() * 0.125


def num(t: pg.Tensor) -> np.ndarray:
    return np.array(t.detach().numpy())


def handles(model: Net) -> list[pg.Tensor]:
    n = model.norm
    return [n.running_mean, n.running_var, n.num_batches, model.drop.generator.state]


def statistics(model: Net) -> list[np.ndarray]:
    return [np.array(h.numpy()) for h in handles(model)]


def gradients(tree: Net) -> list[np.ndarray]:
    tensors = [*[getattr(tree, n) for n in NAMES], tree.norm.weight, tree.norm.bias]
    return [num(t) for t in tensors]


def tape_gradients(model: Net) -> list[np.ndarray]:
    tensors = [*[getattr(model, n) for n in NAMES], model.norm.weight, model.norm.bias]
    return [num(t.grad) for t in tensors]


class Reference:
    """What one plain forward and ``backward()`` give."""

    def __init__(self) -> None:
        model = Net()
        y = loss(model, pg.asarray(X))
        self.loss = y.item()
        self.statistics = statistics(model)
        y.backward()
        self.gradients = tape_gradients(model)

    def check(self, model: Net, y: Any = None, grads: list[np.ndarray] | None = None) -> None:
        for a, b in zip(statistics(model), self.statistics, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        for h in handles(model):
            assert h.tr is None and h.node is None and h.mask == 0, "state must be a plain value"
        if y is not None:
            np.testing.assert_allclose(y.item(), self.loss, rtol=1e-12)
        if grads is not None:
            for a, b in zip(grads, self.gradients, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.fixture
def reference(device: str) -> Reference:
    return Reference()


def direction(model: Net, seed: int = 5) -> tuple[Net, list[np.ndarray]]:
    """A tangent of the model: the gradient's tree with random numbers, and those numbers."""
    grads = pg.value_and_grad(loss)(model, pg.asarray(X))[1]
    rng = np.random.default_rng(seed)
    tree = pg.tree.map(lambda t: pg.asarray(rng.normal(size=t.shape)), grads)
    return tree, gradients(tree)


def test_plain_forward_writes_once(reference: Reference):
    z = X @ Net().w1.detach().numpy() + Net().b1.detach().numpy()
    mean, var, count, place = reference.statistics
    np.testing.assert_allclose(mean, 0.1 * z.mean(0), rtol=1e-12)
    np.testing.assert_allclose(var, 0.9 + 0.1 * z.var(0, ddof=1), rtol=1e-12)
    assert count == 1 and place.tolist() == [7, 1]


def test_gradients_against_central_differences(reference: Reference):
    """Of the first weight, along a random direction."""
    d, e = np.random.default_rng(2).normal(size=(4, 6)), 1e-6

    def at(shift: float) -> float:
        model = Net()
        model.w1.assign(pg.asarray(model.w1.detach().numpy() + shift * d))
        return loss(model, pg.asarray(X)).item()

    np.testing.assert_allclose((reference.gradients[0] * d).sum(), (at(e) - at(-e)) / (2 * e), rtol=1e-6)


@pytest.mark.parametrize("kind", [Net, Checkpointed])
def test_value_and_grad_of_the_model(reference: Reference, kind: type[Net]):
    model = kind()
    y, grads = pg.value_and_grad(loss)(model, pg.asarray(X))
    reference.check(model, y, gradients(grads))
    assert grads.norm.running_mean is None and y.node is None
    assert all(p.grad is None for p in model.parameters())


def test_grad_of_a_closure_over_the_model(reference: Reference):
    model = Net()
    y, g = pg.value_and_grad(lambda x: loss(model, x))(pg.asarray(X))
    reference.check(model, y)
    other = Net()
    x = pg.asarray(X).requires_grad_()
    loss(other, x).backward()
    np.testing.assert_allclose(num(g), num(x.grad), rtol=1e-12)


@pytest.mark.parametrize("kind", [Net, Checkpointed])
def test_jvp_of_the_model(reference: Reference, kind: type[Net]):
    tangent, numbers = direction(Net())
    model = kind()
    y, dy = pg.jvp(lambda m: loss(m, pg.asarray(X)), (model,), (tangent,))
    reference.check(model, y)
    expected = sum((g * t).sum() for g, t in zip(reference.gradients, numbers, strict=True))
    np.testing.assert_allclose(dy.item(), expected, rtol=1e-10)


@pytest.mark.parametrize("kind", [Net, Checkpointed])
def test_hvp_of_the_input_against_differences_of_gradients(reference: Reference, kind: type[Net]):
    model = kind()
    product = pg.hvp(lambda x: loss(model, x), (pg.asarray(X),), (pg.asarray(X2),))
    reference.check(model)
    e = 1e-5
    up, down = [num(pg.grad(lambda x: loss(Net(), x))(pg.asarray(X + s * e * X2))) for s in (1.0, -1.0)]
    np.testing.assert_allclose(num(product), (up - down) / (2 * e), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", [Net, Checkpointed])
def test_hvp_of_the_model_against_differences_of_gradients(reference: Reference, kind: type[Net]):
    tangent, numbers = direction(Net())
    model = kind()
    product = pg.hvp(lambda m: loss(m, pg.asarray(X)), (model,), (tangent,))
    reference.check(model)
    e = 1e-5

    def moved(sign: float) -> list[np.ndarray]:
        m = Net()
        tensors = [*[getattr(m, n) for n in NAMES], m.norm.weight, m.norm.bias]
        for t, d in zip(tensors, numbers, strict=True):
            t.assign(pg.asarray(t.detach().numpy() + sign * e * d))
        return gradients(pg.grad(lambda m: loss(m, pg.asarray(X)))(m))

    for h, a, b in zip(gradients(product), moved(1.0), moved(-1.0), strict=True):
        np.testing.assert_allclose(h, (a - b) / (2 * e), rtol=1e-5, atol=1e-7)


def test_hessian_and_jacobian_run_the_model_once(reference: Reference):
    model = Net()
    h = pg.hessian(lambda v: loss(model, v.reshape((8, 4))))(pg.asarray(X.ravel()))
    reference.check(model)
    model = Net()
    v = pg.hvp(lambda x: loss(model, x), (pg.asarray(X),), (pg.asarray(X2),))
    np.testing.assert_allclose(num(h) @ X2.ravel(), num(v).ravel(), rtol=1e-9, atol=1e-12)
    for jacobian in (pg.jacrev, pg.jacfwd):
        model = Net()
        j = jacobian(lambda v, m=model: m(v.reshape((8, 4))).reshape((24,)))(pg.asarray(X.ravel()))
        reference.check(model)
        assert j.shape == (24, 32)


def test_checkpoint_is_the_same_bit_for_bit(reference: Reference):
    model = Checkpointed()
    y = loss(model, pg.asarray(X))
    reference.check(model, y)
    y.backward()
    reference.check(model, y)
    for a, b in zip(tape_gradients(model), reference.gradients, strict=True):
        np.testing.assert_array_equal(a, b)


def test_checkpoint_two_forwards_before_one_backward(device: str):
    """The state has moved on between the first run and the run of the backward."""
    plain, saved = Net(), Checkpointed()
    for model in (plain, saved):
        (loss(model, pg.asarray(X)) + loss(model, pg.asarray(X2))).backward()
    for a, b in zip(tape_gradients(plain), tape_gradients(saved), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(statistics(plain), statistics(saved), strict=True):
        np.testing.assert_array_equal(a, b)
    assert statistics(plain)[2] == 2


def test_checkpoint_of_the_whole_model_as_argument(reference: Reference):
    model = Net()
    y, grads = pg.value_and_grad(pg.checkpoint(loss))(model, pg.asarray(X))
    reference.check(model, y, gradients(grads))


def test_stage_leaves_no_state_and_each_call_writes_it_once(reference: Reference):
    model = Net()
    before = statistics(model)
    step = pg.stage(lambda x: loss(model, x), pg.asarray(X))
    for a, b in zip(statistics(model), before, strict=True):
        np.testing.assert_array_equal(a, b)
    y = step(pg.asarray(X))
    reference.check(model, y)
    step(pg.asarray(X2))
    other = Net()
    loss(other, pg.asarray(X))
    loss(other, pg.asarray(X2))
    for a, b in zip(statistics(model), statistics(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("kind", [Net, Checkpointed])
def test_stage_of_value_and_grad(reference: Reference, kind: type[Net]):
    model = kind()
    step = pg.stage(lambda x: _leaves(pg.value_and_grad(loss)(model, x)), pg.asarray(X))
    y, *grads = step(pg.asarray(X))
    reference.check(model, y)
    order = [*[id(getattr(model, n)) for n in NAMES], id(model.norm.weight), id(model.norm.bias)]
    by_id = {id(p): num(g) for p, g in zip(model.parameters(), grads, strict=True)}
    reference.check(model, None, [by_id[i] for i in order])


def _leaves(pair: tuple[pg.Tensor, Any]) -> tuple[pg.Tensor, ...]:
    return (pair[0], *pg.tree.leaves(pair[1]))


def test_stage_sees_a_changed_weight(device: str):
    model, other = Net(), Net()
    step = pg.stage(lambda x: _leaves(pg.value_and_grad(loss)(model, x)), pg.asarray(X))
    for m in (model, other):
        m.w1.assign(m.w1.detach() * 2.0)
    y, g = step(pg.asarray(X))[:2]
    y2, grads2 = pg.value_and_grad(loss)(other, pg.asarray(X))
    np.testing.assert_allclose(y.item(), y2.item(), rtol=1e-12)
    np.testing.assert_allclose(num(g), num(grads2.w1), rtol=1e-10, atol=1e-12)


def test_grad_of_staged(reference: Reference):
    model = Net()
    step = pg.stage(lambda x: loss(model, x), pg.asarray(X))
    g = pg.grad(step)(pg.asarray(X))
    reference.check(model)
    np.testing.assert_allclose(num(g), num(pg.grad(lambda x: loss(Net(), x))(pg.asarray(X))), rtol=1e-10)


def test_compile_follows_the_mode_and_writes_once_a_call(reference: Reference):
    model = Net()
    step = pg.compile(lambda x: loss(model, x))
    reference.check(model, step(pg.asarray(X)))
    model.eval()
    before = statistics(model)
    np.testing.assert_allclose(step(pg.asarray(X2)).item(), loss(model, pg.asarray(X2)).item(), rtol=1e-12)
    for a, b in zip(statistics(model), before, strict=True):
        np.testing.assert_array_equal(a, b)
    model.train()
    step(pg.asarray(X2))
    assert statistics(model)[2] == 2 and statistics(model)[3].tolist() == [7, 2]


XS = np.stack([X, X2])


def test_vmap_says_what_to_do_about_draws(device: str):
    model = Net()
    model.norm.eval()
    with pytest.raises(StateError, match=r"vmap.*randomness='same'"):
        pg.vmap(lambda x: loss(model, x))(pg.asarray(XS))


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_vmap_says_what_to_do_about_statistics_and_changes_nothing(device: str, randomness: str):
    model = Net()
    model.drop.eval()
    before = statistics(model)
    with pytest.raises(StateError, match=r"BatchNorm1d\.running_mean.*model\.eval\(\).*Buffer\(reduce=\.\.\.\)"):
        pg.vmap(lambda x: loss(model, x), randomness=randomness)(pg.asarray(XS))
    for a, b in zip(statistics(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_vmap_in_evaluation(device: str):
    model = Net()
    loss(model, pg.asarray(X))
    model.eval()
    before = statistics(model)
    both = pg.vmap(lambda x: loss(model, x))(pg.asarray(XS))
    each = [loss(model, pg.asarray(x)).item() for x in (X, X2)]
    np.testing.assert_allclose(num(both), each, rtol=1e-12)
    for a, b in zip(statistics(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_vmap_with_reduce_keeps_the_mean_of_the_statistics(device: str):
    def layer() -> BatchNorm1d:
        return BatchNorm1d(4, dtype="float64", reduce=lambda t: t.mean(axis=0))

    model = layer()
    both = pg.vmap(model)(pg.asarray(XS))
    singles = [layer(), layer()]
    each = [m(pg.asarray(x)).detach().numpy() for m, x in zip(singles, XS, strict=True)]
    np.testing.assert_allclose(both.detach().numpy(), np.stack(each), rtol=1e-12, atol=1e-12)
    for name in ("running_mean", "running_var"):
        expected = np.mean([getattr(m, name).numpy() for m in singles], axis=0)
        np.testing.assert_allclose(getattr(model, name).numpy(), expected, rtol=1e-12)
        assert getattr(model, name).tr is None
    assert model.num_batches.item() == 1


def test_an_ensemble_of_models_under_vmap_of_grad(device: str):
    """Parameters batched, statistics reduced: the gradients are those of each model alone."""

    def layer() -> BatchNorm1d:
        return BatchNorm1d(4, dtype="float64", reduce=lambda t: t.mean(axis=0))

    model, scales = layer(), pg.asarray([[1.0, 2.0, 3.0, 4.0], [0.5, 0.5, -1.0, 2.0]], dtype="float64")

    def f(scale: pg.Tensor, x: pg.Tensor) -> pg.Tensor:
        return (pg.sin(model(x) * scale) * x).sum()

    both = pg.vmap(pg.grad(f, 1), in_axes=(0, None))(scales, pg.asarray(X))
    for i in range(2):
        np.testing.assert_allclose(num(both)[i], num(pg.grad(f, 1)(scales[i], pg.asarray(X))), rtol=1e-10, atol=1e-12)
