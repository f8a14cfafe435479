"""SciPy's functions take plugrad's tensors."""

from __future__ import annotations

import pytest
from calls import judge_unless, passing
from scipy_calls import CALLS

MISSES = {
    "interpolate.Akima1DInterpolator": (
        "Not equal to tolerance",
        "works in the namespace's default dtype, float32 here, whatever the data's",
    ),
    "interpolate.RBFInterpolator": ("no attribute 'view'", "calls NumPy's method x.view(float)"),
}
"""Both fail for array-api-strict's arrays too."""


@pytest.mark.parametrize("name", CALLS)
def test_a_call(name: str) -> None:
    judge_unless(name, CALLS, MISSES)


def test_enough_calls_pass() -> None:
    assert len(CALLS) == 67
    assert passing(CALLS, MISSES) >= 61
