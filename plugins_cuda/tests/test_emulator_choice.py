"""When the emulated driver takes the place of a real one."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cuda.core")

from emu import lab as labs
from emu import loader

HERE = Path(__file__).parent
KNOWN = (HERE.parents[1] / "tools" / "expected_skips.txt").read_text().splitlines()


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize(
    ("wanted", "driver", "emulated"),
    [("1", True, True), ("1", False, True), ("0", True, False), ("0", False, False), (None, False, True)],
)
def test_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, driver: bool, emulated: bool, loaded: bool
) -> None:
    why = hindrance(monkeypatch, wanted, driver, loaded)
    assert bool(why) is not emulated and (emulated or known(why))


def test_a_driver_is_taken_unless_the_emulated_one_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hindrance(monkeypatch, None, driver=True, loaded=True) == ""
    why = hindrance(monkeypatch, None, driver=True, loaded=False)
    assert known(why) and "PLUGRAD_CUDA_EMULATE=1" in why


def hindrance(monkeypatch: pytest.MonkeyPatch, wanted: str | None, driver: bool, loaded: bool) -> str:
    """What is said on a machine with or without a driver."""

    def open_library(name: str) -> None:
        assert name == "libcuda.so.1"
        if not driver:
            raise OSError

    monkeypatch.setattr(ctypes, "CDLL", open_library)
    monkeypatch.setattr(loader, "loaded", lambda: loaded)
    monkeypatch.delenv("PLUGRAD_CUDA_EMULATE", raising=False)
    if wanted is not None:
        monkeypatch.setenv("PLUGRAD_CUDA_EMULATE", wanted)
    return labs.hindrance()


def known(reason: str) -> bool:
    """Whether `make test` accepts a skip for this reason."""
    return any(re.search(line, reason) for line in KNOWN if line and not line.startswith("#"))


def test_tests_skip_where_there_is_no_device_and_none_may_be_emulated() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(HERE / "test_two_devices.py")]
    command += [str(HERE / "test_emulator_kernels.py")]
    env = os.environ | {"PLUGRAD_CUDA_EMULATE": "0", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    skips = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert len(skips) >= 2 and all(known(line) for line in skips), done.stdout
    assert " passed" not in done.stdout and " failed" not in done.stdout, done.stdout
