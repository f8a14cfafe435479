"""Parameters as Modules, lists, dicts; tied weights; what comes back from ``update``; errors of structure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import RecordingError, ShapeError
from plugrad_optim import SGD, Adam

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


class Layer(pg.Module):
    def __init__(self) -> None:
        self.weight = pg.Parameter(np.ones((3, 2), np.float32))
        self.bias = pg.Parameter(np.zeros(2, np.float32))

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        return x @ self.weight + self.bias


class Net(pg.Module):
    """Layers in a list, a Buffer, a static field, a plain tensor."""

    def __init__(self) -> None:
        self.layers = [Layer(), Layer()]
        self.seen = pg.Buffer(pg.zeros(()), name="Net.seen")
        self.scale = 2.0
        self.table = pg.ones(2)

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        self.seen.assign(self.seen + 1.0)
        return (self.layers[0](x) * self.layers[1](x) * self.table).sum(axis=-1) * self.scale


class Tied(pg.Module):
    """One weight under two names, one of them in a submodule that occurs twice."""

    def __init__(self) -> None:
        self.one = Layer()
        self.two = self.one
        self.tied = self.one.weight

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        return (self.one(x) * (x @ self.tied) * self.two(x)).mean()


def loss(model: Any, x: pg.Tensor) -> pg.Tensor:
    return (model(x) ** 2).mean()


def arrays(model: pg.Module) -> list[np.ndarray]:
    return [np.array(p.detach().numpy()) for p in model.parameters()]


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.05, momentum=0.9), lambda p: Adam(p, 0.05)])
def test_a_module_is_updated_as_step_does(device: str, make: Any):
    stepped, model = Net(), Net()
    optimizer, pure = make(stepped), make(None)
    state = pure.init(model)
    for _ in range(5):
        optimizer.zero_grad()
        loss(stepped, pg.asarray(X)).backward()
        optimizer.step()
        _, grads = pg.value_and_grad(loss)(model, pg.asarray(X))
        before, kept = arrays(model), model
        model, state = pure.update(grads, state, model)
        for a, b in zip(arrays(kept), before, strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(arrays(stepped), arrays(model), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert stepped.seen.item() == 5.0


def test_the_updated_module_is_a_module_like_any_other(device: str):
    model = Net()
    pure = SGD(None, 0.1)
    grads = pg.grad(loss)(model, pg.asarray(X))
    new, _ = pure.update(grads, pure.init(model), model)
    assert type(new) is Net and new.seen is model.seen and new.table is model.table and new.scale == 2.0
    assert [k for k, _ in new.named_parameters()] == [k for k, _ in model.named_parameters()]
    assert all(a is not b for a, b in zip(new.parameters(), model.parameters(), strict=True))
    new.eval()
    new.scale = 1.0
    assert model.training and model.scale == 2.0
    loss(new, pg.asarray(X)).backward()
    assert all(p.grad is not None for p in new.parameters()) and all(p.grad is None for p in model.parameters())


def test_a_tied_weight_gets_the_sum_of_its_gradients_and_moves_once(device: str):
    model = Tied()
    assert len(model.parameters()) == 2
    w, x = np.ones((3, 2)), X.astype(np.float64)
    z = x @ w
    slope = x.T @ (3.0 * z**2) / z.size  # of mean(z z z) in all three uses of w
    optimizer = SGD(model, 0.1)
    model(pg.asarray(X)).backward()
    np.testing.assert_allclose(model.tied.grad.numpy(), slope, rtol=1e-4)
    optimizer.step()
    np.testing.assert_allclose(model.one.weight.detach().numpy(), w - 0.1 * slope, rtol=1e-4)
    assert model.tied is model.one.weight and model.two is model.one
    assert list(optimizer.state_dict()) == ["learning_rate"]


def test_tied_weights_stay_tied_through_update(device: str):
    model = Tied()
    pure = Adam(None, 0.1)
    state = pure.init(model)
    assert len(state) == 2
    grads = pg.grad(lambda m, x: m(x))(model, pg.asarray(X))
    new, state = pure.update(grads, state, model)
    assert new.tied is new.one.weight and new.two is new.one and isinstance(new.tied, pg.Parameter)
    assert len(state) == 2


def test_a_tied_leaf_takes_the_gradient_at_its_first_place(device: str):
    w = pg.asarray([1.0])
    pure = SGD(None, 0.5)
    new, state = pure.update({"a": pg.asarray([2.0]), "b": None}, pure.init({"a": w, "b": w}), {"a": w, "b": w})
    assert new["a"] is new["b"] and new["a"].tolist() == [0.0] and list(state) == ["a"]


class Pair(NamedTuple):
    a: Any
    b: Any


@pytest.mark.parametrize(
    "wrap",
    [
        lambda a, b: [a, b],
        lambda a, b: (a, b),
        lambda a, b: {"a": a, "b": b},
        lambda a, b: Pair(a, [b]),
        lambda a, b: {"deep": [{"a": (a,)}, None, 3, b]},
    ],
)
def test_trees(device: str, wrap: Any):
    params = wrap(pg.asarray([1.0, 2.0]), pg.asarray([3.0]))
    pure = SGD(None, 0.5)
    grads = pg.tree.map(lambda t: t * 2.0, params)
    new, _ = pure.update(grads, pure.init(params), params)
    assert type(new) is type(params) and [t.tolist() for t in pg.tree.leaves(new)] == [[0.0, 0.0], [0.0]]


def test_a_bare_tensor_and_integers(device: str):
    pure = SGD(None, 0.5)
    x = pg.asarray([4.0])
    new, _ = pure.update(pg.asarray([2.0]), pure.init(x), x)
    assert new.tolist() == [3.0]
    params = {"w": pg.asarray([4.0]), "n": pg.asarray([1, 2])}
    grads = pg.grad(lambda t: (t["w"] * t["n"].sum()).sum())(params)
    new, _ = pure.update(grads, pure.init(params), params)
    assert new["w"].tolist() == [2.5] and new["n"] is params["n"]


def test_containers_that_others_registered(device: str):
    class Box:
        def __init__(self, *parts: Any) -> None:
            self.parts = parts

    pg.tree.register(Box, lambda b: (b.parts, None), lambda _, parts: Box(*parts))
    pure = SGD(None, 0.5)
    params = [Box(pg.asarray([4.0]), pg.asarray([2.0]))]
    grads = [Box(pg.asarray([2.0]), pg.asarray([4.0]))]
    new, _ = pure.update(grads, pure.init(params), params)
    assert [t.tolist() for t in new[0].parts] == [[3.0], [0.0]]


def test_dicts_are_matched_by_key_not_by_order(device: str):
    pure = SGD(None, 1.0)
    params = {"a": pg.asarray([1.0]), "b": pg.asarray([1.0])}
    grads = {"b": pg.asarray([10.0]), "a": pg.asarray([1.0])}
    new, _ = pure.update(grads, pure.init(params), params)
    assert new["a"].tolist() == [0.0] and new["b"].tolist() == [-9.0]


def test_parameters_given_as_lists_iterators_and_single(device: str):
    model = Net()
    for params in (
        model.parameters(),
        iter(model.parameters()),
        tuple(model.parameters()),
        dict(model.named_parameters()),
    ):
        optimizer = SGD(params, 0.1)
        loss(model, pg.asarray(X)).backward()
        before = arrays(model)
        optimizer.step()
        optimizer.zero_grad()
        assert all((a != b).any() for a, b in zip(before, arrays(model), strict=True))
        assert all(p.grad is None for p in model.parameters())
    w = pg.Parameter([2.0])
    optimizer = SGD(w, 0.5)
    (w * w).sum().backward()
    optimizer.step()
    assert w.tolist() == [0.0]
    x = pg.asarray([2.0]).requires_grad_()
    optimizer = SGD([x], 0.5)
    (x * x).sum().backward()
    optimizer.step()
    assert x.tolist() == [0.0] and x.is_leaf


def test_errors_of_structure(device: str):
    pure = SGD(None, 0.1, momentum=0.5)
    params = {"a": pg.ones(2), "b": [pg.ones(3)]}
    state = pure.init(params)
    good = pg.tree.map(lambda t: t, params)
    with pytest.raises(
        ShapeError, match=r"SGD\.update: the gradient of 'b\.0' has shape \(2,\); give it the parameter's, \(3,\)"
    ):
        pure.update({"a": pg.ones(2), "b": [pg.ones(2)]}, state, params)
    with pytest.raises(
        ShapeError, match=r"SGD\.update: the gradients at the root have a in the place of a, b; .*grad\(f\)\(params\)"
    ):
        pure.update({"a": pg.ones(2)}, state, params)
    with pytest.raises(ShapeError, match=r"the gradients at b have 0, 1 in the place of 0"):
        pure.update({"a": pg.ones(2), "b": [pg.ones(3), pg.ones(3)]}, state, params)
    with pytest.raises(ShapeError, match=r"the gradient of 'a' is a float; give a tensor of shape \(2,\)"):
        pure.update({"a": 1.0, "b": [None]}, state, params)
    with pytest.raises(RecordingError, match=r"SGD\.update: no parameter has a gradient"):
        pure.update({"a": None, "b": None}, state, params)
    with pytest.raises(
        ShapeError, match=r"the state does not fit params: missing 'b\.0\.momentum'.*Make it with init\(params\)"
    ):
        pure.update(good, pure.init({"a": pg.ones(2)}), params)
    with pytest.raises(ShapeError, match=r"'a\.momentum' has shape \(5,\), \(2,\) is needed"):
        pure.update(good, pure.init({"a": pg.ones(5), "b": [pg.ones(3)]}), params)
    with pytest.raises(ShapeError, match=r"unexpected 'a\.m'"):
        pure.update(good, Adam().init(params), params)
    with pytest.raises(ShapeError, match=r"the arguments are \(grads, state, params\)"):
        pure.update(good, params, state)
    plain = SGD(None, 0.1)
    with pytest.raises(ShapeError, match="the state does not fit params"):
        plain.update(good, plain.init([pg.ones(2)]), params)
    for empty in ({}, [pg.arange(3)], pg.Module(), 0.1, "text"):
        with pytest.raises(
            ShapeError, match=r"SGD\.init: params .* hold nothing to train; give a Module with Parameters"
        ):
            pure.init(empty)
    with pytest.raises(ShapeError, match=r"two parameters have the path 'a\.b'"):
        pure.init({"a": {"b": pg.ones(2)}, "a.b": pg.ones(2)})


def test_errors_of_step(device: str):
    w = pg.Parameter([1.0, 2.0])
    optimizer = Adam([w])
    with pytest.raises(
        RecordingError, match=r"Adam\.step: no parameter has a gradient; call loss\.backward\(\) before step\(\)"
    ):
        optimizer.step()
    w.grad = pg.ones(3)
    with pytest.raises(ShapeError, match=r"Adam\.step: the gradient of '0' has shape \(3,\), the parameter \(2,\)"):
        optimizer.step()
    assert w.tolist() == [1.0, 2.0] and optimizer.state_dict()["0.step"] == 0
    with pytest.raises(
        RecordingError, match=r"Adam: params hold at '1' a tensor that backward\(\) gives no gradient to"
    ):
        Adam([w, pg.ones(2)])
    for method in ("step", "zero_grad", "state_dict"):
        with pytest.raises(RecordingError, match=rf"Adam\.{method}: this optimizer was made without params"):
            getattr(Adam(), method)()
    with pytest.raises(RecordingError, match="load_state_dict"):
        Adam().load_state_dict({})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SGD([pg.Parameter([1.0])], -0.1), r"SGD: learning_rate is -0\.1; it must be at least 0"),
        (lambda: Adam(None, float("inf")), r"Adam: learning_rate is inf; .* finite"),
        (lambda: Adam(None, float("nan")), r"Adam: learning_rate is nan"),
        (lambda: SGD(None, 0.1, momentum=1.0), r"SGD: momentum is 1\.0; it must be at least 0 and below 1"),
        (lambda: SGD(None, 0.1, weight_decay=-1.0), "SGD: weight_decay is -1"),
        (lambda: SGD(None, 0.1, nesterov=True), "nesterov needs a momentum above 0"),
        (lambda: SGD(None, 0.1, momentum=0.9, nesterov=True, dampening=0.1), "nesterov needs"),
        (lambda: SGD(None, 0.1, momentum=0.9, unbiased=True, dampening=0.1), "leave dampening out"),
        (lambda: SGD(None, 0.1, momentum=0.9, unbiased=True, nesterov=True), "nesterov needs"),
        (lambda: Adam(None, betas=(0.9, 1.0)), r"Adam: betas\[1\] is 1\.0"),
        (lambda: Adam(None, betas=(-0.1, 0.9)), r"Adam: betas\[0\] is -0\.1"),
        (lambda: Adam(None, betas=0.9), "betas is 0.9; give two numbers"),
        (lambda: Adam(None, eps=-1e-8), "Adam: eps is -1e-08"),
        (lambda: setattr(Adam(), "learning_rate", -1.0), r"Adam\.learning_rate: learning_rate is -1"),
    ],
)
def test_bad_hyper_parameters(make: Any, words: str):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_learning_rate_that_is_no_number():
    with pytest.raises(TypeError, match="SGD: learning_rate is 'fast'; give a number"):
        SGD(None, "fast")
    pure = SGD(None, 0.1)
    x = pg.ones(2, device="numpy")
    with pytest.raises(ShapeError, match=r"SGD\.update: learning_rate has shape \(2,\)"):
        pure.update(x, pure.init(x), x, learning_rate=pg.ones(2, device="numpy"))
