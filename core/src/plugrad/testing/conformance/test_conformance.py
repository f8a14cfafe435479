"""One test a check; the plugin beside this file makes them."""

from __future__ import annotations

from plugrad.testing import Check


def test_conformance(check: Check) -> None:
    """Run it."""
    check()
