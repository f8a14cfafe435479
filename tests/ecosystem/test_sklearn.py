"""scikit-learn's array API dispatch takes plugrad's tensors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sklearn
from calls import judge_unless, passing
from sklearn_calls import CALLS

MISSES: dict[str, str] = {}
"""Calls that fail, with the reason."""


@pytest.fixture(autouse=True)
def dispatch() -> Iterator[None]:
    with sklearn.config_context(array_api_dispatch=True):
        yield


@pytest.mark.parametrize("name", CALLS)
def test_a_call(name: str) -> None:
    judge_unless(name, CALLS, MISSES, rtol=1e-6)


def test_enough_calls_pass() -> None:
    assert len(CALLS) == 52
    assert passing(CALLS, MISSES) >= 48
