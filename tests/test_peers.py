"""The comparison with peers: turns, ratios, refusals, and what plugrad's candidates start from. No peer is needed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
TOY = """
import sys
from benchmarks.peers.timing import serve
serve(lambda: print("a call"), {"apart": 0.0, "words": sys.argv[1:]}, 2)
"""


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.peers.{name}")


class Fake:
    """A candidate whose figures are given, and which notes its calls."""

    def __init__(self, name: str, apart: float, figures: list[float], calls: list[str]) -> None:
        self.name, self.facts, self.figures, self.calls = name, {"apart": apart}, iter(figures), calls

    def measure(self, seconds: float) -> float:
        self.calls.append(self.name)
        return next(self.figures)

    def close(self) -> None:
        self.calls.append(f"{self.name} ends")


def test_turns_and_refusals(
    peers: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timing, calls = peers("timing"), list[str]()
    monkeypatch.setattr(timing, "REST", 0.0)
    rows: list[tuple[str, float, list[float]]] = [
        ("a", 0.0, [1.0, 8.0, 3.0]),
        ("wrong", 0.2, []),
        ("nan", float("nan"), []),
        ("b", 0.1, [2.0, 2.0, 2.0]),
    ]
    found = timing.in_turn([Fake(*row, calls) for row in rows], 3, 0.0, 0.1)
    assert calls == ["a", "b", "b", "a", "a", "b", "a ends", "wrong ends", "nan ends", "b ends"]
    assert found == {"a": [1.0, 8.0, 3.0], "b": [2.0, 2.0, 2.0]}
    assert timing.ratio(found, "a", "b") == 1.5  # not the ratio of the medians of other rounds
    said = capsys.readouterr().err
    assert "wrong is refused: its result is 2.0e-01" in said and "nan is refused" in said


def test_processes_end_when_one_of_them_breaks(peers: Callable[[str], ModuleType]) -> None:
    calls = list[str]()
    with pytest.raises(StopIteration):
        peers("timing").in_turn([Fake("a", 0.0, [], calls), Fake("b", 0.0, [], calls)], 1, 0.0, 0.1)
    assert calls == ["a", "a ends", "b ends"]


def test_a_candidate_in_its_own_process(
    peers: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What libraries print is no answer; a process that ends is reported."""
    timing = peers("timing")
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    candidate = timing.Candidate("one", sys.executable, "toy", ["few", 3], 2)
    try:
        assert candidate.facts["words"] == ["--serve", "one", "few", "3", "--threads", "2"]
        assert 0 < candidate.measure(0.01) < 1
        assert 0 < candidate.measure(0.01) < 1
    finally:
        candidate.close()
    assert candidate.process.returncode == 0
    (tmp_path / "broken.py").write_text("import sys; sys.exit(3)")
    with pytest.raises(timing.Refused, match="status 3"):
        timing.Candidate("two", sys.executable, "broken", [], 1)


def test_the_table_says_what_is_met(peers: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        "plugrad": [1.0, 1.0, 1.0],
        "torch-plain": [3.0, 3.0, 3.0],
        "torch-fused": [2.0, 2.0, 2.9],
        "jax": [0.5] * 3,
    }
    steps, report = peers("steps"), peers("report")
    assert report.fastest(found, "torch") == "torch-fused" and report.fastest(found, "numpy") is None
    placed = steps._named({"torch": 1.5, "torch-plain": 4.0, "jax": 1.0}, found)
    assert placed == {"torch-fused": 1.5, "torch-plain": 4.0, "jax": 1.0}
    report.show("work", found, {"plugrad": placed, "absent": {}}, ("ms", 1e3))
    rows = {line.split()[0]: line.split("|")[1].split() for line in capsys.readouterr().out.splitlines() if "|" in line}
    assert "absent" not in rows["work"]
    assert rows["torch-fused"] == ["2.00", "1.50", "yes"]
    assert rows["torch-plain"] == ["3.00", "4.00", "NO"]
    assert rows["jax"] == ["0.50", "1.00", "NO"]
    assert rows["plugrad"] == []
    report.show("work", {**found, "torch-fused": [2.0, 2.0, 3.1]}, {"plugrad": placed}, ("ms", 1e3))
    assert "2.00  1.50    ?" in capsys.readouterr().out


@pytest.mark.parametrize("candidate", ["plugrad", "plugrad-compiled", "plugrad-pure", "plugrad-tape"])
def test_what_candidates_start_from(peers: Callable[[str], ModuleType], candidate: str, tmp_path: Path) -> None:
    """The file holds what was written, and steps from it have its losses; from other weights they have not."""
    ours, reference = peers("plugrad_steps"), peers("reference")
    given = ours.reference("mlp")
    given.save(tmp_path / "reference.npz")
    read = reference.Reference.load(tmp_path / "reference.npz")
    assert read.weights.keys() == given.weights.keys() and len(read.batches) == len(given.batches) > 1
    assert read.sizes["batch"] == 128

    def apart(given: Any) -> float:
        _, loss = ours.build(candidate, "mlp", given, "numpy")
        return max(abs(loss() - wanted) / wanted for wanted in given.losses)

    assert apart(read) < reference.TOLERANCE
    read.weights["last.weight"] = read.weights["last.weight"] * np.float32(1.01)
    assert apart(read) > reference.TOLERANCE


def test_chain_of_plugrad(peers: Callable[[str], ModuleType]) -> None:
    chain = peers("chain")
    arrays = [np.full(3, value, np.float32) for value in (0.5, 1.0, -0.25, 2.0)]
    for candidate in ("plugrad", "plugrad-compiled"):
        _, result = chain.plugrad_chain(candidate, arrays, 1, "numpy")
        np.testing.assert_allclose(result(), np.full(3, 2 * np.tanh(0.25)), rtol=1e-6)


def test_products_of_a_dense_layer(peers: Callable[[str], ModuleType]) -> None:
    matmuls = peers("matmuls")
    x, w = matmuls.operands("forward", 7, 5)
    g, v = matmuls.operands("input", 7, 5)
    h, z = matmuls.operands("weight", 7, 5)
    assert [(a @ b).shape for a, b in ((x, w), (g, v), (h, z))] == [(128, 5), (128, 7), (5, 7)]
    np.testing.assert_array_equal(v, w.T)
    np.testing.assert_array_equal(h.T, g)
    np.testing.assert_array_equal(z, x)
    np.testing.assert_allclose(matmuls._call("plugrad", h, z, 1, "numpy")().numpy(), h @ z, rtol=1e-5, atol=1e-5)


def test_what_a_call_takes_besides_its_programs(
    peers: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time inside the programs is taken from that of a call."""
    pytest.importorskip("plugrad_cpu")
    calls = peers("calls")
    monkeypatch.setattr(calls, "CALLS", {"SMALL": 5, "FULL": 5})
    for size in calls.CALLS:
        compiling, whole, around = calls.measured("mlp", size)
        assert compiling > 0 and 0 < around < whole
