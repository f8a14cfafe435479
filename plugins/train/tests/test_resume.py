"""A run that was interrupted and resumed is the run that was not."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import CheckpointError
from plugrad_train import Callback, EarlyStopping, Schedule, checkpoint, fit

TIMES = ("seconds", "images_per_second")


def bits(model):
    return {k: v.numpy().tobytes() for k, v in model.state_dict().items()}


def numbers(history):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in history]


@pytest.fixture
def run(make):
    """A run from scratch; returns its history, model, optimizer and loader."""

    def run(epochs, seed=5, generator=None, **config):
        model = make.Net(seed=3, generator=generator)
        optimizer, data = make.Momentum(model.parameters()), make.Batches(seed=config.pop("order", 0))
        pg.manual_seed(1234)  # whatever went on in this process before
        history = make.fit(model, optimizer, data=data, epochs=epochs, seed=seed, **config)
        return history, model, optimizer, data

    return run


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_resumed_equals_straight_bit_for_bit(run, make, tmp_path, stop):
    config = {"validation": make.Batches(shuffle=False), "callbacks": [Schedule(lambda e, n: 0.1 / (1 + e))]}
    straight, model, optimizer, data = run(4, **config)
    run(stop, checkpoint=tmp_path / "a", **config)
    resumed, again, optimizer2, data2 = run(4, seed=99, checkpoint=tmp_path / "a", resume=True, **config)
    assert numbers(resumed) == numbers(straight) and len(resumed) == 4
    assert bits(again) == bits(model)
    assert [v.numpy().tobytes() for v in optimizer.velocity] == [v.numpy().tobytes() for v in optimizer2.velocity]
    assert data2.epoch == data.epoch == 4 and float(again.seen) == 28


def test_the_test_above_sees_every_kind_of_state(run, tmp_path):
    """Dropout's draws, momentum and the order of the data each matter to the result."""
    straight = bits(run(4)[1])
    assert bits(run(4, seed=6)[1]) != straight
    assert bits(run(4, order=1)[1]) != straight
    assert bits(run(4)[1]) == straight


def test_an_exception_leaves_the_last_checkpoint_whole(run, tmp_path):
    class Break(Callback):
        def __init__(self):
            self.ended = False

        def on_step_end(self, run):
            if run.step == 17:  # epoch 3
                raise KeyboardInterrupt

        def on_error(self, run):
            self.ended = run.epoch == 3

    watch = Break()
    with pytest.raises(KeyboardInterrupt):
        run(4, checkpoint=tmp_path / "a", callbacks=[watch])
    assert watch.ended
    meta = checkpoint.read(tmp_path / "a").meta
    assert (meta["epoch"], meta["step"]) == (2, 14)
    resumed, model, *_ = run(4, checkpoint=tmp_path / "a", resume=True)
    straight, other, *_ = run(4)
    assert numbers(resumed) == numbers(straight) and bits(model) == bits(other)


def test_a_finished_run_is_not_repeated(run, tmp_path):
    history, model, *_ = run(2, checkpoint=tmp_path / "a")
    again, other, *_ = run(2, checkpoint=tmp_path / "a", resume=True)
    assert list(again) == list(history) and bits(model) == bits(other)


def test_if_exists(run, tmp_path):
    first, *_ = run(1, checkpoint=tmp_path / "a", resume="if_exists")
    second, *_ = run(3, checkpoint=tmp_path / "a", resume="if_exists")
    assert len(first) == 1 and numbers(second) == numbers(run(3)[0])


def test_callbacks_go_on(run, make, tmp_path):
    """Stopped early stays stopped; and the count of waiting epochs goes on."""

    def stopping():
        return EarlyStopping("loss", patience=3, min_delta=10.0)

    history, *_ = run(9, callbacks=[stopping()])
    assert len(history) == 4
    run(2, checkpoint=tmp_path / "a", callbacks=[stopping()])
    for _ in range(2):
        again, *_ = run(9, checkpoint=tmp_path / "a", resume=True, callbacks=[stopping()])
        assert numbers(again) == numbers(history)


def test_a_generator_of_the_models_own(run, tmp_path):
    def own():
        return pg.random.Generator(17)

    straight, model, *_ = run(3, generator=own())
    run(1, generator=own(), checkpoint=tmp_path / "a")
    resumed, again, *_ = run(3, generator=own(), checkpoint=tmp_path / "a", resume=True)
    assert numbers(resumed) == numbers(straight) and bits(again) == bits(model)
    with pytest.raises(
        CheckpointError, match=r"differ in their random generators \(model.generator\); build the model as it was"
    ):
        run(3, checkpoint=tmp_path / "a", resume=True)


# -- what does not fit changes nothing


def test_absent(run, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        run(1, checkpoint=tmp_path / "a", resume=True)


def test_not_written_by_fit(run, make, tmp_path):
    model = make.Net(seed=3)
    checkpoint.save(tmp_path / "a", model, make.Momentum(model.parameters()), epoch=1)
    with pytest.raises(
        CheckpointError, match=r"^fit: .* lacks callbacks, data, generators, history, step; resume from a file that fit"
    ):
        run(2, checkpoint=tmp_path / "a", resume=True)


@pytest.mark.parametrize("wrong", ["model", "optimizer", "data", "kind of data"])
def test_a_resume_that_does_not_fit_changes_nothing(run, make, tmp_path, wrong):
    run(1, checkpoint=tmp_path / "a")
    model = make.Net(seed=8, hidden=9 if wrong == "model" else 8)
    optimizer = make.Momentum(model.parameters()[: -1 if wrong == "optimizer" else None])
    data = make.Batches(seed=1 if wrong == "data" else 0)
    message = {
        "model": "does not fit Net",
        "optimizer": "velocities for",
        "data": "does not fit the data: Batches: seed",
        "kind of data": "another kind",
    }
    generator, before = pg.random.generator().state.tolist(), bits(model)
    with pytest.raises(CheckpointError, match=message[wrong]) as caught:
        given = list(data) if wrong == "kind of data" else data
        make.fit(model, optimizer, data=given, epochs=3, checkpoint=tmp_path / "a", resume=True)
    assert str(tmp_path / "a") in str(caught.value)
    assert bits(model) == before and set(optimizer.velocity) == {None}
    assert pg.random.generator().state.tolist() == generator
    assert data.epoch == (1 if wrong == "kind of data" else 0)


def test_with_the_real_parts(tmp_path):
    """The same with plugrad's own layers, Adam and loader, where they are installed."""
    why = "the sibling distribution is not installed"
    data, nn, norm, optim = (
        pytest.importorskip(f"plugrad_{name}", reason=why) for name in ("data", "nn", "norm", "optim")
    )
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(40, 1, 6, 6)).astype(np.float32), rng.integers(0, 3, 40)

    def run(epochs, optimizer_of, **config):
        pg.manual_seed(7)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            norm.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            norm.Dropout(0.5),
            nn.Linear(16, 3),
        )
        loader = data.DataLoader(data.ArrayDataset(images, labels), 16, shuffle=True, seed=2)
        loss = nn.functional.cross_entropy
        history = fit(model, optimizer_of(model.parameters()), loss, loader, epochs=epochs, progress=False, **config)
        return numbers(history), bits(model)

    for optimizer_of in (
        lambda p: optim.Adam(p, learning_rate=0.01),
        lambda p: optim.SGD(p, learning_rate=0.01, momentum=0.9, nesterov=True, weight_decay=0.01),
    ):
        straight = run(4, optimizer_of)
        run(2, optimizer_of, checkpoint=tmp_path / "a")
        assert run(4, optimizer_of, checkpoint=tmp_path / "a", resume=True) == straight


def test_resuming_is_said(run, make, tmp_path, capsys):
    def again(epochs, progress=True, **config):
        make.fit(make.Net(seed=3), epochs=epochs, checkpoint=tmp_path / "a", progress=progress, **config)
        return capsys.readouterr().out.splitlines()

    assert again(2, resume="if_exists")[0].startswith("epoch 1/2")
    lines = again(3, resume=True)
    assert lines[0] == "resuming after epoch 2" and lines[1].startswith("epoch 3/3") and len(lines) == 2
    assert again(3, resume=True) == ["resuming after epoch 3, nothing left to do"]
    assert again(3, resume=True, progress=False) == []


@pytest.mark.parametrize("epoch", [1, 2])
def test_after_an_interruption_the_checkpoint_is_named(make, tmp_path, capsys, epoch):
    class Interrupt(Callback):
        def on_step_end(self, run):
            if run.epoch == epoch:
                raise KeyboardInterrupt

    path = tmp_path / "a"
    with pytest.raises(KeyboardInterrupt):
        make.fit(make.Net(), epochs=2, checkpoint=path, callbacks=[Interrupt()], progress=True)
    said = [line for line in capsys.readouterr().out.splitlines() if "interrupted" in line]
    where = f"interrupted in epoch 2; {path} holds epoch 1, resume=True goes on from there"
    assert said == ([where] if epoch == 2 else [])
