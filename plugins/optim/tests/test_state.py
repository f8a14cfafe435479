"""Saving and taking back the state of an optimizer; parameters that join late; devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ShapeError
from plugrad_optim import SGD, Adam

MAKERS = [lambda p: SGD(p, 0.1), lambda p: SGD(p, 0.1, momentum=0.9, unbiased=True), lambda p: Adam(p, 0.1)]


class Net(pg.Module):
    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.body = [pg.Parameter(rng.normal(size=(3, 2))), pg.Parameter(rng.normal(size=2))]
        self.late = pg.Parameter(rng.normal(size=2))

    def forward(self, late: bool) -> pg.Tensor:
        y = (self.body[0] ** 2).sum() + (self.body[1] ** 4).sum()
        return y + pg.sin(self.late).sum() if late else y


def steps(model: Net, optimizer: Any, lates: list[bool]) -> None:
    for late in lates:
        optimizer.zero_grad()
        model(late).backward()
        optimizer.step()


@pytest.mark.parametrize("as_arrays", [False, True])
@pytest.mark.parametrize("make", MAKERS)
def test_a_run_goes_on_where_it_was(device: str, make: Any, as_arrays: bool):
    """With a parameter that joined late, so that counts differ."""
    whole, first, second = Net(), Net(), Net()
    optimizer = make(whole)
    steps(whole, optimizer, [False, False, True])
    optimizer.learning_rate = 0.05
    steps(whole, optimizer, [True, False, True])

    before = make(first)
    steps(first, before, [False, False, True])
    before.learning_rate = 0.05
    saved = before.state_dict()
    if as_arrays:
        saved = {k: v.numpy() if isinstance(v, pg.Tensor) else v for k, v in saved.items()}
    after = make(second)
    second.load_state_dict(first.state_dict())
    after.load_state_dict(saved)
    assert after.learning_rate == 0.05
    steps(second, after, [True, False, True])
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert [*after.state_dict()] == [*optimizer.state_dict()]


def test_what_is_saved(device: str):
    model = Net()
    optimizer = Adam(model, 0.25)
    steps(model, optimizer, [False, False, True])
    saved = optimizer.state_dict()
    assert saved["learning_rate"] == 0.25
    assert {k: v for k, v in saved.items() if k.endswith("step")} == {
        "body.0.step": 3,
        "body.1.step": 3,
        "late.step": 1,
    }
    assert saved["body.0.m"].shape == (3, 2) and type(saved["body.0.v"]) is pg.Tensor
    kept = saved["body.0.m"].numpy().copy()
    steps(model, optimizer, [True])
    np.testing.assert_array_equal(saved["body.0.m"].numpy(), kept)


def test_counts_part_join_and_part_again(device: str):
    """A staged step holds the handles, so that loading writes into them and does not replace them."""
    model = Net()
    optimizer = Adam(model, 0.25)
    start = optimizer.state_dict()
    steps(model, optimizer, [False])
    optimizer.load_state_dict(start)
    assert {v for k, v in optimizer.state_dict().items() if k.endswith("step")} == {0}
    fresh = Net()
    other = Adam(fresh, 0.25)
    step, zero = pg.stage(lambda: _staged(fresh, other)), other.state_dict()
    step()
    step()
    assert other.state_dict()["late.step"] == 2
    other.load_state_dict(zero)
    step()
    assert other.state_dict()["late.step"] == 1
    other.load_state_dict({**zero, "late.step": 7})
    steps(fresh, other, [True])
    counts = [other.state_dict()[f"{k}.step"] for k in ("body.0", "body.1", "late")]
    assert counts == [1, 1, 8]


def _staged(model: Net, optimizer: Adam) -> pg.Tensor:
    y, grads = pg.value_and_grad(lambda m: m(True))(model)
    for p, g in zip(model.parameters(), pg.tree.leaves(grads), strict=True):
        p.grad = g
    optimizer.step()
    for p in model.parameters():
        p.grad = None
    return y


def test_everything_wrong_is_named_before_anything_changes(device: str):
    model = Net()
    optimizer = Adam(model, 0.25)
    steps(model, optimizer, [True])
    good = optimizer.state_dict()
    bad = {**good, "late.v": np.ones(3), "other.m": np.ones(1)}
    del bad["body.1.m"]
    words = r"missing 'body\.1\.m'; unexpected 'other\.m'; 'late\.v' has shape \(3,\), \(2,\) is needed"
    with pytest.raises(ShapeError, match=r"Adam\.load_state_dict: .*" + words):
        optimizer.load_state_dict({**bad, "body.0.m": np.zeros((3, 2))})
    for key, value, words in (
        ("learning_rate", -1.0, "learning_rate is -1"),
        ("late.step", -1, r"'late\.step' is -1; a count of steps"),
        ("late.step", 1.5, r"'late\.step' is 1\.5"),
    ):
        with pytest.raises(ValueError, match=words):
            optimizer.load_state_dict({**good, "body.0.m": np.zeros((3, 2)), key: value})
    with pytest.raises(ShapeError, match="missing 'learning_rate'"):
        optimizer.load_state_dict({})
    with pytest.raises(ShapeError, match=r"unexpected 'body\.0\.m'"):
        SGD(model, 0.1).load_state_dict(good)
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(good[key]))


def test_state_follows_a_model_that_moves(device: str):
    """From the reference to the device of the test and on; the moments keep their values."""
    model = Net().to("numpy")
    optimizer = Adam(model, 0.25)
    steps(model, optimizer, [True])
    m = optimizer.state_dict()["late.m"].numpy()
    model.to(device)
    np.testing.assert_array_equal(optimizer.state_dict()["late.m"].numpy(), m)
    steps(model, optimizer, [True])
    assert optimizer.state_dict()["late.m"].device == device
    other = Net().to("numpy")
    steps(other, Adam(other, 0.25), [True, True])
    np.testing.assert_allclose(model.late.detach().numpy(), other.late.detach().numpy(), rtol=1e-6)


def test_parameters_on_two_devices(device: str):
    a, b = pg.Parameter([1.0]), pg.Parameter([1.0], device="numpy")
    optimizer = Adam([a, b], 0.25)
    for p in (a, b):
        (p * p).sum().backward()
    optimizer.step()
    assert a.device == device and a.tolist() == b.tolist()


def test_the_rate_reads_back_as_it_was_set(device: str):
    optimizer = SGD([pg.Parameter([1.0])], 0.1)
    assert optimizer.learning_rate == 0.1
    optimizer.learning_rate = np.float32(0.3)
    assert optimizer.learning_rate == float(np.float32(0.3))
    optimizer.learning_rate = pg.asarray(0.5)
    assert optimizer.learning_rate == 0.5
    assert "SGD" in repr(optimizer) and "0.5" in repr(optimizer)
