"""Every test runs on the reference backend, and again on the native one where plugrad-cpu is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest

import plugrad as pg


@pytest.fixture(autouse=True, params=["numpy", "cpu"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """The default device of the test; the default generator starts at seed 0."""
    if request.param != "numpy" and importlib.util.find_spec(f"plugrad_{request.param}") is None:
        pytest.skip(f"plugrad-{request.param} is not installed")
    with pg.device(request.param):
        pg.manual_seed(0)
        yield request.param


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
