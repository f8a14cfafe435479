"""The loop: what it computes, what it leaves alone, and what it says when something is wrong."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ShapeError
from plugrad_train import Callback, History, NonFiniteLossError, accuracy, evaluate, fit, predict


def weights(model):
    return {k: np.array(v.numpy()) for k, v in model.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


@pytest.fixture
def parts(make):
    model = make.Net(seed=3, hidden=16)
    return model, make.Momentum(model.parameters()), make.cross_entropy, make.Batches()


def test_it_learns_and_measures(parts, make):
    model, optimizer, loss, data = parts
    held_out = make.Batches(shuffle=False)
    history = fit(model, optimizer, loss, data, epochs=20, validation=held_out, metrics=[accuracy], progress=False)
    assert isinstance(history, History) and len(history) == 20
    assert history.names() == [
        "loss",
        "accuracy",
        "validation_loss",
        "validation_accuracy",
        "learning_rate",
        "seconds",
        "images_per_second",
    ]
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["validation_accuracy"][-1] > 0.9
    assert set(history["learning_rate"]) == {0.1}
    assert all(np.isclose(r * s, 50) for r, s in zip(history["images_per_second"], history["seconds"], strict=True))
    assert float(model.seen) == 20 * 7  # training steps only
    assert np.isclose(history["validation_loss"][-1], evaluate(model, held_out, loss)["loss"], rtol=1e-6)


def test_one_step_is_the_formula(make):
    layer = make.Layer(np.random.default_rng(0), 4, 3)
    before, x, y = (
        weights(layer),
        np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32),
        np.array([0, 1, 2, 2, 1, 0]),
    )
    make.fit(layer, make.Momentum(layer.parameters(), 0.5), data=[(pg.asarray(x), pg.asarray(y))], epochs=1)
    scores = x @ before["w"] + before["b"]
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    g = (p - np.eye(3)[y]) / 6
    np.testing.assert_allclose(weights(layer)["w"], before["w"] - 0.5 * x.T @ g, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights(layer)["b"], before["b"] - 0.5 * g.sum(0), rtol=1e-5, atol=1e-6)
    assert all(p.grad is None for p in layer.parameters())


def test_gradients_from_before_are_forgotten(make):
    results = []
    for stale in (False, True):
        layer = make.Layer(np.random.default_rng(0), 4, 3)
        data = list(make.Batches(16, 8, shuffle=False))
        if stale:
            make.cross_entropy(layer(data[0][0]), data[0][1]).backward()
        make.fit(layer, data=data, epochs=1)
        results.append(weights(layer))
    assert same(*results)


def test_parameters_of_the_loss_are_trained_too(make):
    """Their gradients are the optimizer's to forget."""
    layer, scale = make.Layer(np.random.default_rng(0), 4, 3), pg.Parameter(np.ones((), np.float32))
    optimizer, calls = make.Momentum([*layer.parameters(), scale]), []

    def forget():
        calls.append(1)
        scale.grad = None

    optimizer.zero_grad = forget
    data = make.Batches(16, 8)
    make.fit(layer, optimizer, lambda o, y: make.cross_entropy(o * scale, y), data, epochs=1)
    assert scale.grad is None and scale.item() != 1.0 and len(calls) == 3


def test_means_are_weighted_by_batch_size(make):
    layer = make.Layer(np.random.default_rng(0), 4, 3)
    data = make.Batches(10, 4, shuffle=False)  # batches of 4, 4, 2

    def first(outputs, labels):
        assert not outputs.requires_grad
        return labels[0]

    class Still:
        def step(self):
            pass

    history = make.fit(layer, Still(), data=data, epochs=1, metrics={"first": first}, validation=data)
    whole = make.cross_entropy(layer(pg.asarray(data.x)), pg.asarray(data.y)).item()
    for prefix in ("", "validation_"):
        assert np.isclose(history.last[prefix + "loss"], whole, rtol=1e-6)
        assert np.isclose(history.last[prefix + "first"], (4 * data.y[0] + 4 * data.y[4] + 2 * data.y[8]) / 10)
    assert "learning_rate" not in history


def test_validation_changes_nothing(make):
    results = []
    for validation in (None, make.Batches(shuffle=False)):
        model = make.Net(seed=3)
        make.fit(model, epochs=3, validation=validation, seed=1)
        results.append((weights(model), pg.random.generator().state.tolist()))
        assert model.training
    assert same(results[0][0], results[1][0]) and results[0][1] == results[1][1]


def test_modes(make):
    model = make.Net()
    model.eval()
    seen = []

    class Watch(Callback):
        def on_step_end(self, run):
            seen.append((run.model.training, run.model.first.training))

    make.fit(model, epochs=1, callbacks=[Watch()])
    assert set(seen) == {(True, True)}
    seen.clear()
    model.first.training = False  # frozen by hand
    make.fit(model, epochs=2, validation=make.Batches(), callbacks=[Watch()])
    assert set(seen) == {(True, False)}


def test_a_seed_makes_runs_equal(make):
    def run(seed):
        return make.fit(make.Net(seed=3), epochs=2, seed=seed)["loss"]

    assert run(1) == run(1) != run(2)


def test_predict_and_evaluate(make):
    model, data = make.Net(), make.Batches(10, 4, shuffle=False)
    outputs = predict(model, data)
    assert isinstance(outputs, np.ndarray) and outputs.shape == (10, 3) and model.training
    model.eval()
    np.testing.assert_array_equal(outputs, np.concatenate([model(x).detach().numpy() for x, _ in data]))
    assert evaluate(model, data, metrics=[accuracy]) == {
        "accuracy": pytest.approx(np.mean(outputs.argmax(1) == data.y))
    }
    assert float(model.seen) == 0.0
    with pytest.raises(ValueError, match=r"^evaluate: data gave no batches"):
        evaluate(model, [])


def test_modes_come_back_after_an_error(make):
    model = make.Net()
    with pytest.raises(TypeError, match=r"^predict: data gave a Tensor; a batch is a tuple"):
        predict(model, [pg.zeros((2, 4))])
    assert model.training and model.first.training


# -- what goes wrong


def poisoned(data, at):
    for i, (x, y) in enumerate(data):
        yield (x * float("nan") if i == at else x), y


@pytest.mark.parametrize("kind", ["nan", "inf"])
def test_a_loss_that_is_not_finite(make, kind):
    model = make.Layer(np.random.default_rng(0), 4, 3)
    batches = list(make.Batches(32, 8, shuffle=False))
    calls = []

    def loss(outputs, labels):
        calls.append(weights(model))
        value = make.cross_entropy(outputs, labels)
        return value * float(kind) if len(calls) == 7 else value

    with pytest.raises(
        NonFiniteLossError,
        match=f"^fit: the loss is {kind} in epoch 2, step 7; the model was not changed .* learning rate",
    ) as caught:
        make.fit(model, loss=loss, data=batches, epochs=3)
    assert isinstance(caught.value, FloatingPointError)
    assert same(calls[-1], weights(model)) and not same(calls[-2], weights(model))


def test_a_loss_that_is_no_scalar(parts):
    model, optimizer, _, data = parts
    with pytest.raises(ShapeError, match=r"^fit: the loss has shape \(8, 3\), expected a scalar; take its .mean"):
        fit(model, optimizer, lambda o, y: o, data, epochs=1, progress=False)
    with pytest.raises(ShapeError, match="shape None"):
        fit(model, optimizer, lambda o, y: 1.0, data, epochs=1, progress=False)


def test_data_that_gives_no_batches(parts):
    model, optimizer, loss, data = parts
    with pytest.raises(ValueError, match=r"^fit: data gave no batches"):
        fit(model, optimizer, loss, [], epochs=1, progress=False)
    with pytest.raises(ValueError, match="generator already used up"):
        fit(model, optimizer, loss, iter(list(data)), epochs=2, progress=False)
    with pytest.raises(TypeError, match=r"^fit: data gave a int; a batch is a tuple"):
        fit(model, optimizer, loss, [3], epochs=1, progress=False)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs 0 must be a positive integer"),
        ({"epochs": 1.5}, ValueError, "epochs 1.5"),
        ({"resume": True}, ValueError, "resume needs to know from where; pass checkpoint=FILE"),
        ({"resume": "yes", "checkpoint": "x"}, ValueError, "resume 'yes' is unknown"),
        ({"callbacks": [print]}, TypeError, "is not a Callback"),
        ({"callbacks": [Callback]}, TypeError, "is not a Callback"),
        ({"optimizer": object()}, TypeError, "the optimizer, a object, has no step"),
    ],
)
def test_arguments_that_do_not_fit(parts, config, error, message):
    model, optimizer, loss, data = parts
    before = weights(model)
    config = {"epochs": 1, "optimizer": optimizer, "progress": False, **config}
    with pytest.raises(error, match=f"^fit: .*{message}"):
        fit(model, config.pop("optimizer"), loss, data, **config)
    assert same(before, weights(model))


class Examples:
    """A dataset: examples by number, no batches."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if not 0 <= index < 3:
            raise IndexError(index)
        return np.zeros(4, np.float32), 0


def test_a_dataset_in_the_place_of_a_loader(make):
    model, wrap = make.Net(), r": data is a Examples, .*wrap it in DataLoader\("
    with pytest.raises(TypeError, match="^fit" + wrap):
        make.fit(model, data=Examples(), epochs=1)
    with pytest.raises(TypeError, match="^fit" + wrap):
        make.fit(model, epochs=1, validation=Examples())
    with pytest.raises(TypeError, match="^predict" + wrap):
        predict(model, Examples())
    with pytest.raises(TypeError, match="^evaluate: data is a int, .*pass a DataLoader or a list"):
        evaluate(model, 5)


def test_an_optimizer_of_another_model(make):
    model, other = make.Net(), make.Net()
    before = {k: v.tolist() for k, v in model.named_parameters()}
    with pytest.raises(ValueError, match=r"^fit: the optimizer, a Momentum, holds none of .* a Net; make it with"):
        make.fit(model, make.Momentum(other.parameters()), epochs=1)
    assert {k: v.tolist() for k, v in model.named_parameters()} == before


def test_an_optimizer_of_plugrad_optim_for_another_model(make):
    optim = pytest.importorskip("plugrad_optim")
    optimizer = optim.SGD(make.Net().parameters(), 0.1)
    with pytest.raises(ValueError, match="^fit: the optimizer, a SGD, holds none of the parameters"):
        make.fit(make.Net(), optimizer, epochs=1)


def test_an_optimizer_of_parameters_without_a_gradient_is_its_own_affair(make):
    model = make.Net()
    model.unused = pg.Parameter(np.zeros(2, np.float32))
    assert len(make.fit(model, make.Momentum([model.unused]), epochs=1)) == 1


def test_an_optimizer_of_the_losss_parameters_alone(make):
    bias = pg.Parameter(np.zeros(3, np.float32))
    make.fit(
        make.Net(),
        make.Momentum([bias]),
        lambda outputs, labels: make.cross_entropy(outputs + bias, labels),
        epochs=1,
    )
    assert bias.detach().numpy().any()


def test_an_optimizer_without_state_cannot_be_checkpointed(parts, tmp_path):
    model, _, loss, data = parts

    class Stepper:
        def step(self):
            pass

    with pytest.raises(TypeError, match="has no state_dict, load_state_dict"):
        fit(model, Stepper(), loss, data, epochs=1, checkpoint=tmp_path / "a")


def test_metrics_of_one_name(parts):
    model, optimizer, loss, data = parts
    with pytest.raises(ValueError, match="two are called 'accuracy'"):
        fit(model, optimizer, loss, data, epochs=1, metrics=[accuracy, accuracy])


def test_accuracy():
    scores = pg.asarray([[[0.0, 1.0], [2.0, 1.0]]])
    assert accuracy(scores, pg.asarray([[1, 1]])) == 0.5
    for labels in ([1, 1], [[[1, 1]]], [[1]], 1):
        with pytest.raises(ShapeError, match=r"^accuracy: outputs \(1, 2, 2\) and labels"):
            accuracy(scores, np.array(labels))
    with pytest.raises(ShapeError, match="at least one"):
        accuracy(np.zeros((0, 3)), np.zeros(0, int))


def test_history():
    history = History([{"a": 1.0}, {"a": 2.0, "b": 3.0}])
    assert history["a"] == [1.0, 2.0] and np.isnan(history["b"][0]) and history["b"][1] == 3.0
    assert history.last == {"a": 2.0, "b": 3.0} and History().last == {} and "b" in history and "c" not in history
    assert repr(history) == "History(2 epochs; last: a=2, b=3)" and repr(History()) == "History(0 epochs)"
    with pytest.raises(KeyError, match="no column 'c'; there are a, b"):
        history["c"]
