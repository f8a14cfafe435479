"""One test a check; the plugin beside this file makes them."""

from __future__ import annotations

import pytest

from plugrad.testing import Check


@pytest.fixture
def check() -> Check:
    """Every test has a check of its own, unless the plugin was left out of the run."""
    pytest.fail("the pytest plugin of plugrad is not loaded: leave out '-p no:plugrad', or add '-p _plugrad_pytest'")


def test_conformance(check: Check) -> None:
    """Run it."""
    check()
