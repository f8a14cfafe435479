"""Callbacks: order of events, stopping, saving the best, the schedule; and what the progress display writes."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from plugrad_train import Callback, EarlyStopping, SaveBest, Schedule, checkpoint
from plugrad_train.progress import line


@pytest.fixture
def train(make):
    """A run of a linear model on two batches."""

    def train(epochs=2, loss=None, **config):
        layer = make.Layer(np.random.default_rng(0), 4, 3)
        optimizer = make.Momentum(layer.parameters())
        history = make.fit(layer, optimizer, loss or make.cross_entropy, make.Batches(12, 6), epochs=epochs, **config)
        return history, layer, optimizer

    return train


class Journal(Callback):
    """Writes down every event."""

    def __init__(self):
        self.events = []

    def note(self, name, run):
        self.events.append((name, run.epoch, run.step))


for _event in Callback.events:
    setattr(Journal, _event, lambda self, run, name=_event: self.note(name, run))


def test_order_of_events(train, tmp_path):
    journal = Journal()
    train(callbacks=[journal], checkpoint=tmp_path / "a")
    assert journal.events == [
        ("on_fit_begin", 0, 0),
        ("on_epoch_begin", 1, 0),
        ("on_step_end", 1, 1),
        ("on_step_end", 1, 2),
        ("on_epoch_end", 1, 2),
        ("on_checkpoint", 1, 2),
        ("on_epoch_begin", 2, 2),
        ("on_step_end", 2, 3),
        ("on_step_end", 2, 4),
        ("on_epoch_end", 2, 4),
        ("on_checkpoint", 2, 4),
        ("on_fit_end", 2, 4),
    ]


def test_the_run_that_callbacks_see(train):
    seen = []

    class Look(Callback):
        def on_step_end(self, run):
            seen.append((run.batches, run.epochs, run.loss > 0))

        def on_epoch_end(self, run):
            run.row["extra"] = 5.0 + run.epoch
            assert run.history.last is run.row

    history, *_ = train(callbacks=[Look()])
    assert seen == [(2, 2, True)] * 4 and history["extra"] == [6.0, 7.0]


def test_an_error_is_told(train):
    class Fail(Callback):
        def on_step_end(self, run):
            raise RuntimeError("mine")

    journal = Journal()
    with pytest.raises(RuntimeError, match="mine"):
        train(callbacks=[Fail(), journal])
    assert [name for name, *_ in journal.events] == ["on_fit_begin", "on_epoch_begin", "on_error"]


def test_a_mistyped_event():
    with pytest.raises(TypeError, match=r"^Oops: no event on_epoch_ends; the events are on_fit_begin"):
        type("Oops", (Callback,), {"on_epoch_ends": lambda self, run: None})


def test_a_callback_may_stop_the_run(train):
    class Stop(Callback):
        def on_epoch_end(self, run):
            run.stop = run.epoch == 2

    assert len(train(5, callbacks=[Stop()])[0]) == 2


class Feed(Callback):
    """Puts given numbers into the rows."""

    def __init__(self, *values):
        self.values = values

    def on_epoch_end(self, run):
        run.row["score"] = self.values[run.epoch - 1]


@pytest.mark.parametrize(
    ("values", "config", "epochs"),
    [
        ((3, 2, 1, 1, 1, 0), {"patience": 2}, 5),
        ((3, 2, 2.5, 1, 1.5, 0.5), {"patience": 2}, 6),
        ((1, 2, 3, 2, 2, 9), {"patience": 2, "mode": "max"}, 5),
        ((3.0, 2.8, 2.4, 2.2, 1.8, 1.7), {"patience": 2, "min_delta": 0.5}, 6),
        ((3.0, 2.9, 2.8, 2.7, 2.6, 2.5), {"patience": 2, "min_delta": 0.5}, 3),
        ((float("nan"), 2, float("nan"), float("nan"), 1, 1), {"patience": 2}, 4),
        ((1, 1, 1, 1, 1, 1), {"patience": 1}, 2),
    ],
)
def test_early_stopping(train, values, config, epochs):
    history, *_ = train(6, callbacks=[Feed(*values), EarlyStopping("score", **config)])
    assert len(history) == epochs


def test_early_stopping_refuses(train):
    with pytest.raises(ValueError, match="EarlyStopping: no number 'validation_loss' in this run; there are loss, "):
        train(callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match="mode 'best' is unknown; use 'min' or 'max'"):
        EarlyStopping(mode="best")
    with pytest.raises(ValueError, match="patience 0 must be at least 1"):
        EarlyStopping(patience=0)


def test_save_best(train, make, tmp_path):
    kept = {}

    class Keep(Callback):
        def on_epoch_end(self, run):
            kept[run.epoch] = np.array(run.model.w.detach().numpy())

    train(4, callbacks=[Feed(1, 5, 4, 2), SaveBest(tmp_path / "best", "score", mode="max"), Keep()])
    other = make.Layer(np.random.default_rng(1), 4, 3)
    assert checkpoint.load(tmp_path / "best", other) == {"epoch": 2, "score": 5}
    np.testing.assert_array_equal(other.w.detach().numpy(), kept[2])


def test_schedule(train):
    history, _, optimizer = train(3, callbacks=[Schedule(lambda epoch, epochs: 1.0 / (epoch + epochs))])
    assert history["learning_rate"] == [1 / 3, 1 / 4, 1 / 5] and optimizer.learning_rate == 1 / 5


def test_schedule_of_the_epoch_alone(train):
    history, *_ = train(3, callbacks=[Schedule(lambda epoch: 1.0 / (epoch + 1))])
    assert history["learning_rate"] == [1, 1 / 2, 1 / 3]


def test_schedules_of_plugrad_optim(train):
    schedules = pytest.importorskip("plugrad_optim").schedules
    history, *_ = train(3, callbacks=[Schedule(schedules.cosine(0.05, 12))])
    assert history["learning_rate"] == [schedules.cosine(0.05, 12)(k) for k in range(3)]


def test_schedule_leaves_optional_arguments_alone():
    assert Schedule(lambda epoch, decay=0.5: decay**epoch).rate(2, 7) == 0.25
    assert Schedule(lambda epoch=0, epochs=1: epoch + epochs).rate(2, 7) == 9
    assert Schedule(lambda *args: len(args)).rate(2, 7) == 2
    assert Schedule(max).rate(2, 7) == 7


@pytest.mark.parametrize("rate", [lambda: 0.1, lambda a, b, c: 0.1, lambda epoch, *, base: 0.1, 0.1])
def test_schedule_checks_its_function_when_it_is_built(rate):
    with pytest.raises(TypeError, match=r"^Schedule: .*; give rate\(epoch\) or rate\(epoch, epochs\)$"):
        Schedule(rate)


# -- what a person sees


def test_a_line_for_each_epoch(train, capsys):
    history, *_ = train(progress=True)
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [line(i + 1, 2, row) for i, row in enumerate(history)]
    assert shown.out.startswith("epoch 1/2  loss ") and shown.out.splitlines()[0].endswith(" images/s")
    assert shown.err == ""


def test_stopped_early_is_said(train, capsys):
    train(5, progress=True, callbacks=[EarlyStopping("loss", patience=1, min_delta=99)])
    assert capsys.readouterr().out.splitlines()[-1] == "stopped after epoch 2"


def test_silence(train, capsys):
    train()
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(train, monkeypatch, capsys):
    tqdm = pytest.importorskip("tqdm", reason="tqdm is not installed").tqdm
    monkeypatch.setattr(sys, "stderr", Terminal())
    seen = []

    class Look(Callback):
        def on_step_end(self, run):  # comes before the bar moves
            (bar,) = tqdm._instances
            seen.append((bar.desc, bar.n, bar.total, bar.postfix))

    history, *_ = train(progress=True, callbacks=[Look()])
    assert [(s[0].rstrip(": "), *s[1:3]) for s in seen] == [
        (f"epoch {epoch}/2", n, 2) for epoch in (1, 2) for n in (0, 1)
    ]
    assert seen[0][3] is None and seen[1][3].startswith("loss ")
    assert "epoch 2/2" in sys.stderr.getvalue() and sys.stderr.getvalue().endswith("\r")
    assert len(capsys.readouterr().out.splitlines()) == len(history) == 2


def test_the_bar_is_closed_on_an_error(train, monkeypatch):
    tqdm = pytest.importorskip("tqdm", reason="tqdm is not installed").tqdm
    monkeypatch.setattr(sys, "stderr", Terminal())
    bars = []

    class Fail(Callback):
        def on_step_end(self, run):
            bars.extend(tqdm._instances)
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        train(progress=True, callbacks=[Fail()])
    assert len(bars) == 1 and bars[0].disable  # what close() leaves


def test_a_terminal_without_tqdm(train, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "tqdm", None)
    train(progress=True)
    assert len(capsys.readouterr().out.splitlines()) == 2 and sys.stderr.getvalue() == ""
