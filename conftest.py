"""Settings that all tests and doctests of the repository share."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_sessionstart() -> None:
    """Tests of an extension module that was made of other sources would prove nothing."""
    if importlib.import_module("plugrad.hot").stale():
        pytest.exit("the compiled core is older than its sources: run make, or core/setup.py build_ext --inplace", 3)


@pytest.fixture(autouse=True, scope="session")
def _doctest_names(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    """Examples in docstrings use ``np``, ``pg`` and ``asarray`` without importing them."""
    if request.config.getoption("doctestmodules"):
        doctest_namespace["np"] = importlib.import_module("numpy")
        doctest_namespace["pg"] = plugrad = importlib.import_module("plugrad")
        doctest_namespace["asarray"] = plugrad.asarray


@pytest.fixture(autouse=True)
def _doctest_device(request: pytest.FixtureRequest) -> Iterator[None]:
    """Examples of the core run on the backend that has every operation."""
    core = Path(__file__).parent / "core" / "src"
    if isinstance(request.node, pytest.DoctestItem) and core in request.node.path.parents:
        with importlib.import_module("plugrad").device("numpy"):
            yield
    else:
        yield
