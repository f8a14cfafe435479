"""Faults sown into the package's own kernels: the emulated driver sees each that it claims to, and names the place."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from seeds import ORDERS, SEEDS

HERE = Path(__file__).parent


def sow(name: str) -> Any:
    """Run one seed, or none, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(HERE / "seeds.py"), name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_there_are_twelve_and_one_that_cannot_be_seen() -> None:
    assert len([seed for seed in SEEDS.values() if seed.sees]) >= 12
    assert [name for name, seed in SEEDS.items() if not seed.sees] == ["an addition that is not atomic"]


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed(name: str, emulated: None) -> None:
    seed, told = SEEDS[name], sow(name)
    assert told["sown"] >= 1, "the kernel's text has changed: nothing was sown"
    found = [told["found"][order] for order in ORDERS]
    if seed.sees == "wrong":
        assert "wrong" in found and set(found) <= {"wrong", "right"}
    elif seed.sees:
        kernel = rf"{seed.call}_\w+: {seed.sees}: .*"
        assert all(re.fullmatch(kernel, text) for text in found), found
        margin = "bytes past the end" in found[0] and " a write " in found[0]  # seen when the kernel is over
        assert margin or all(re.search(r"\[block \(\d+, 0, 0\), thread \(\d+, 0, 0\)\]", text) for text in found), found
    else:
        assert found == ["right"] * len(ORDERS)


@pytest.mark.parametrize("call", sorted({seed.call for seed in SEEDS.values()} - {"gather"}))
def test_without_a_seed_all_is_right(call: str, emulated: None) -> None:
    assert sow(f"none: {call}") == {"sown": 0, "found": dict.fromkeys(ORDERS, "right")}
