"""SciPy's functions take plugrad's tensors."""

from __future__ import annotations

import pytest
from calls import judge_unless, passing
from scipy_calls import CALLS

MISSES: dict[str, str] = {}
"""Calls that fail, with the reason."""


@pytest.mark.parametrize("name", CALLS)
def test_a_call(name: str) -> None:
    judge_unless(name, CALLS, MISSES)


def test_enough_calls_pass() -> None:
    assert len(CALLS) == 67
    assert passing(CALLS, MISSES) >= 61
