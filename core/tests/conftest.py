"""Shared fixtures of the core's tests.

Everything here runs on the NumPy reference backend, whatever plugins are installed.
"""

import os

os.environ["PLUGRAD_PLUGINS"] = "none"

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
