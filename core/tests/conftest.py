"""Shared fixtures of the core's tests: everything here runs on the NumPy reference backend."""

import numpy as np
import pytest

import plugrad


@pytest.fixture(autouse=True)
def reference_device():
    with plugrad.device("numpy"):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)
