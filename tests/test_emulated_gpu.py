"""The contract tests and the random programs that the other backends pass, on ``cuda`` over the emulated driver, in
processes of their own: the driver stays out of this one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from plugrad.testing import backend_checks

ROOT = Path(__file__).resolve().parents[1]


def emulated(order: str, tests: str) -> subprocess.CompletedProcess[str]:
    """Tests with ``cuda`` as their only backend."""
    options = ["-p", "emu.preload", "--emulated-order", order, "-p", "no:cacheprovider", "-q"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PLUGRAD_")}
    environment |= {"PYTHONPATH": str(ROOT / "plugins_cuda" / "tests"), "PLUGRAD_TEST_BACKENDS": "cuda"}
    environment |= {name: os.environ[name] for name in ("PLUGRAD_CUDA_EMU_CACHE",) if name in os.environ}
    command = [sys.executable, "-m", "pytest", *options, tests]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900)


@pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="no CUDA device: cuda-core is not installed")
@pytest.mark.parametrize("order", [pytest.param("forward", marks=pytest.mark.slow), "random"])
def test_contract(order: str) -> None:
    done = emulated(order, "tests/test_backend_contract.py")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed in ", done.stdout)
    assert passed and int(passed[1]) > len(backend_checks()) and "skipped" not in done.stdout, done.stdout


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="no CUDA device: cuda-core is not installed")
def test_random_programs() -> None:
    """The default number of random programs, on the emulated device beside the reference."""
    done = emulated("random", "tests/test_random_programs.py::test_random_programs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout and "skipped" not in done.stdout, done.stdout
