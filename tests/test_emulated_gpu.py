"""The conformance kit and the random programs that the other backends pass, on ``cuda`` over the emulated driver, in
processes of their own: the driver stays out of this one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def emulated(order: str, *tests: str, limit: float = 900) -> subprocess.CompletedProcess[str]:
    """Tests with ``cuda`` as their only backend."""
    options = ["-p", "emu.preload", "--emulated-order", order, "-p", "no:cacheprovider", "-q"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PLUGRAD_")}
    environment |= {"PYTHONPATH": str(ROOT / "plugins_cuda" / "tests"), "PLUGRAD_TEST_BACKENDS": "cuda"}
    environment |= {name: os.environ[name] for name in ("PLUGRAD_CUDA_EMU_CACHE",) if name in os.environ}
    command = [sys.executable, "-m", "pytest", *options, *tests]
    settings = {"capture_output": True, "text": True, "check": False, "timeout": limit}
    return subprocess.run(command, cwd=ROOT, env=environment, **settings)


@pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="no CUDA device: cuda-core is not installed")
@pytest.mark.parametrize("how", [pytest.param("full", marks=pytest.mark.slow), "quick"])
def test_conformance(how: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ["--pyargs", "plugrad.testing.conformance", "--backend", "cuda", "--report", str(report)]
    done = emulated("random", *words, *(["--quick"] if how == "quick" else []), limit=3000)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    found = json.loads(report.read_text(encoding="utf-8"))
    assert set(found["counts"]) <= {"passed", "not here"} and found["counts"]["passed"] > 1500, found["counts"]


@pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="no CUDA device: cuda-core is not installed")
def test_a_captured_training_replays(tmp_path: Path) -> None:
    """The convolutional net of the example, trained on the reference on a part of the digits."""
    script = tmp_path / "train.py"
    text = (ROOT / "examples" / "backend_jax" / "train.py").read_text(encoding="utf-8")
    script.write_text(text.replace("BATCH, EPOCHS = 64, 16", "BATCH, EPOCHS = 64, 1"))
    assert script.read_text() != text
    command = [sys.executable, "-m", "plugrad", "capture", "--out", tmp_path / "cnn.json", script, "cnn", "numpy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    words = ["--pyargs", "plugrad.testing.conformance", "--backend", "cuda", "--captured", str(tmp_path / "cnn.json")]
    done = emulated("random", *words)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    passed = re.search(r"(\d+) passed in ", done.stdout)
    assert passed and int(passed[1]) > 200, done.stdout


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="no CUDA device: cuda-core is not installed")
def test_random_programs() -> None:
    """The default number of random programs, on the emulated device beside the reference."""
    done = emulated("random", "tests/test_random_programs.py::test_random_programs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout and "skipped" not in done.stdout, done.stdout
