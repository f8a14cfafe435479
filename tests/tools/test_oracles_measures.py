"""What tools/oracles measures with, without the peers."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plugrad as pg

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def measures(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that needs neither PyTorch nor JAX."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "oracles"))
    with pg.device("numpy"):
        yield importlib.import_module("measures")


@pytest.fixture
def reasons(measures: Any) -> Any:
    """Why functions have no row, and why corners differ."""
    return importlib.import_module("reasons")


@pytest.mark.parametrize(
    ("got", "wanted", "distance"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.2),
        ([0.5], [0.25], 0.25),
        ([NAN], [NAN], 0.0),
        ([NAN], [1.0], INF),
        ([1.0], [NAN], INF),
        ([INF], [INF], 0.0),
        ([INF], [1.0], INF),
        ([], [], 0.0),
        ([1.0], [[1.0]], INF),
    ],
)
def test_distance(measures: Any, got: Any, wanted: Any, distance: float) -> None:
    assert measures.distance([np.array(got)], [np.array(wanted)]) == pytest.approx(distance)
    assert measures.distance([np.array(got, "float32")], [np.array(wanted)]) == INF


def test_right_derivatives_pass(measures: Any) -> None:
    def f(x: Any, y: Any) -> Any:
        return pg.sin(x) * pg.exp(y)

    asked = measures.drawn(f, [np.array([0.5 + 1j, 2.0]), np.array([1.0, -1j])])
    _, pulled, pushed, second = [get() for get in measures.of_plugrad(f, asked)]
    assert measures.pairing(asked, pulled, pushed) < 1e-12
    assert measures.differenced(f, asked, pushed, second) < 1e-8


@pytest.mark.parametrize("wrong", ["vjp", "jvp", "second"])
def test_wrong_derivatives_are_seen(measures: Any, wrong: str) -> None:
    def f(x: Any) -> Any:
        return x**3

    asked = measures.drawn(f, [np.array([1.0, 2.0])])
    _, pulled, pushed, second = [get() for get in measures.of_plugrad(f, asked)]
    if wrong == "vjp":
        assert measures.pairing(asked, [pulled[0] * 1.001], pushed) > 1e-6
    elif wrong == "jvp":
        assert measures.differenced(f, asked, [pushed[0] * 1.001], second) > 1e-6
    else:
        assert measures.differenced(f, asked, pushed, [second[0] * 1.001]) > 1e-6


def test_differences_and_their_places(measures: Any) -> None:
    x = np.array([0.0, 1.0, INF, NAN, -2.0])
    asked = measures.Asked([x], np.ones(5), [np.ones(5)])
    a, b = np.array([1.0, 1.0, 1.0, NAN, 1.0]), np.array([0.0, 1.0 + 1e-12, 0.0, 0.0, NAN])
    found = list(measures.differences("f", "value", "torch", asked, a, b))
    assert [(one.place, one.at) for one in found] == [("zero", "0."), ("inf", "inf"), ("nan", "nan"), ("finite", "-2.")]
    (other,) = measures.differences("f", "value", "torch", asked, a, b.astype("float32"))
    assert (other.ours, other.theirs) == ("float64 (5,)", "float32 (5,)")


def test_reasons_fit_only_what_they_name(measures: Any) -> None:
    key = ("f", "vjp jvp", "torch", "zero inf")
    difference = measures.Difference("f", "vjp", "torch", "inf", "", "", "")
    assert measures.reason(difference, [key]) == key
    for other in ({"row": "g"}, {"quantity": "value"}, {"peer": "jax"}, {"place": "nan"}):
        assert measures.reason(difference._replace(**other), [key]) is None


def test_every_public_function_is_accounted_for(measures: Any, reasons: Any) -> None:
    """By a row, whose key is read from the tables' text, or by a reason."""
    folder = Path(measures.__file__).parent
    texts = [path.read_text("utf-8") for path in sorted(folder.glob("table*.py"))]
    rows = [name for text in texts for name in re.findall(r'^    "([^"]+)": ', text, re.MULTILINE)]
    exempt = " ".join(reasons.EXEMPT.values()).split()
    assert len(rows) > 250 and len(set(rows)) == len(rows)
    assert measures.unknown(rows, exempt) == []
    assert len(measures.unknown(rows[1:], exempt[1:])) >= 1 and len(measures.unknown([*rows, "nothing"], exempt)) == 1
    assert {key[0] for key in reasons.REASONS} <= set(rows)
