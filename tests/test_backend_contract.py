"""The contract's checks on the devices named in PLUGRAD_TEST_BACKENDS ("cpu,cuda:0"); without it, on numpy and cpu.

This file runs unchanged on every backend, a third party's too: it imports nothing but plugrad.
"""

from __future__ import annotations

import os

import pytest

import plugrad
from plugrad.testing import FIRST_EVENING, STEPS, TRAINS_A_NET, backend_checks, kernels_up_to

CHECKS = dict(backend_checks())
NAMED = [name.strip() for name in os.environ.get("PLUGRAD_TEST_BACKENDS", "").split(",") if name.strip()]
AVAILABLE = [name for name, outcome in plugrad.plugins.available_backends().items() if outcome.available]
DEVICES = NAMED or [name for name in ("numpy", "cpu") if name in AVAILABLE]


@pytest.mark.filterwarnings("ignore::plugrad.errors.FallbackWarning")
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("device", DEVICES)
def test_contract(device: str, check: str) -> None:
    CHECKS[check](device)


@pytest.mark.parametrize("device", DEVICES)
def test_the_device_is_there(device: str) -> None:
    """A device that was asked for and cannot be used is a failure, not a skip."""
    assert plugrad.zeros(1, device=device).device.partition(":")[0] == device.partition(":")[0]


def test_names_of_checks_are_unique() -> None:
    assert len(CHECKS) == len(backend_checks()) > 100


def test_steps_name_ops_once() -> None:
    listed = kernels_up_to(STEPS[-1])
    assert len(set(listed)) == len(listed)
    assert len(kernels_up_to(FIRST_EVENING)) == 12 and len(kernels_up_to(TRAINS_A_NET)) == 25
    own = [name for step in STEPS for name in (*step.adds, *step.into) if "." not in name]
    assert [name for name in own if name not in plugrad.OPS] == []
