"""``plugrad demo``: its report, what it writes, and what it says when a sibling is missing."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from plugrad_train import MissingExtraError, checkpoint, demo, plugin


@pytest.fixture
def siblings():
    """Skips unless everything that the demo needs is here."""
    why = "the demo needs all siblings, scikit-learn and matplotlib"
    for name in ("plugrad_data", "plugrad_nn", "plugrad_norm", "plugrad_optim", "sklearn", "matplotlib"):
        pytest.importorskip(name, reason=why)


def run(argv, capsys):
    assert demo.main([str(a) for a in argv]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_short_run(siblings, tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    shown = run(["--device", "numpy", "--epochs", 2, "--out", out], capsys)
    assert shown[0].startswith("1438 images to learn from, 359 held out; ") and shown[0].endswith(" on numpy")
    for i in (1, 2):
        assert re.fullmatch(rf"epoch {i}/2  loss \d\.\d{{4}}  accuracy 0\.\d{{4}}  .*[\d,]+ images/s", shown[i])
    assert "host fallbacks: no op ran on the host for lack of a kernel" in shown
    assert shown[-2] == f"wrote {out / 'curve.png'}, {out / 'predictions.png'}, {out / 'model.safetensors'}"
    assert re.fullmatch(r"test accuracy 0\.\d{4}", shown[-1])
    assert float(shown[-1].split()[-1]) > 0.9
    for name in ("curve.png", "predictions.png"):
        assert (out / name).read_bytes()[:4] == b"\x89PNG"
    found = checkpoint.read(out / "model.safetensors")
    assert found.meta == {"epochs": 2, "seed": 0} and found.arrays["layers.0.weight"].shape == (16, 1, 3, 3)
    assert run(["--device", "numpy", "--epochs", 2, "--out", out], capsys)[-1] == shown[-1]


@pytest.mark.slow
def test_the_whole_run(siblings, tmp_path, capsys):
    shown = run(["--device", "numpy", "--out", tmp_path], capsys)
    assert float(shown[-1].removeprefix("test accuracy ")) >= 0.98


@pytest.mark.parametrize("name", ["plugrad_data", "plugrad_nn", "plugrad_norm", "plugrad_optim"])
def test_a_missing_sibling_is_named(monkeypatch, tmp_path, name):
    for sibling in ("plugrad_data", "plugrad_nn", "plugrad_norm", "plugrad_optim"):
        monkeypatch.setitem(sys.modules, sibling, None if sibling == name else SimpleNamespace())
    distribution = name.replace("_", "-")
    with pytest.raises(
        MissingExtraError, match=rf"^demo: {distribution} is not installed; pip install 'plugrad-train\[demo\]'"
    ):
        demo.main(["--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("argv", [["--epochs", "0"], ["--seed", "-1"], ["--seed", str(2**32)], ["--speed", "9"]])
def test_a_wrong_call(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        demo.main(argv)
    assert stopped.value.code == 2 and argv[0] in capsys.readouterr().err


def test_an_unknown_device(tmp_path):
    with pytest.raises(RuntimeError, match="abacus"):
        demo.main(["--device", "abacus", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_the_command_is_registered():
    found = []
    plugin.plugrad_commands(SimpleNamespace(command=lambda *a, **k: found.append((a, k))))
    ((name,), config), *_ = found
    assert name == "demo" and config["target"] == "plugrad_train.demo:main"


def test_the_learning_rate_falls_to_almost_nothing():
    rates = [demo._cosine(epoch, 20) for epoch in range(20)]
    assert rates[0] == demo._LEARNING_RATE and np.all(np.diff(rates) < 0) and 0 < rates[-1] < 0.02 * rates[0]
