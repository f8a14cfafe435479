"""These tests need the environment that tools/ecosystem makes; SciPy reads its setting once, at import."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

collect_ignore_glob = [] if os.environ.get("SCIPY_ARRAY_API") else ["test_*.py"]
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def reference_device() -> Iterator[None]:
    """The backend that has every operation, so that no warning about a fallback hides another."""
    import plugrad

    with plugrad.device("numpy"):
        yield
