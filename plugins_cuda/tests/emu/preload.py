"""``pytest -p emu.preload``: the emulated driver is there before the first test, for files that do not know it.

With ``--emulated-order random`` threads, blocks and streams take turns as they are drawn, and work is queued until
something waits for it. In either order memory ends at unreadable pages.
"""

from __future__ import annotations

from typing import Any

import pytest

from . import control, loader


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--emulated-order", default="forward", help="the order of emulated threads: forward or random")


def pytest_configure(config: Any) -> None:
    order = config.getoption("--emulated-order")
    loader.load()
    control.configure(order=order, deferred=order == "random", guard="end")
