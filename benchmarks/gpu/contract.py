"""Section: the checks of ``plugrad.testing``, which every backend must pass, on the GPU."""

from __future__ import annotations

import importlib
import warnings
from functools import partial

from .records import DEVICE, Section, shared


def body(running: Section) -> None:
    """Run every check as a case of its own."""
    running.emulate()
    testing = importlib.import_module("plugrad.testing")
    warnings.simplefilter("ignore", importlib.import_module("plugrad.errors").FallbackWarning)
    checks = [(name, check) for name, check in testing.backend_checks() if running.wants(name)]
    checks = [pair for number, pair in enumerate(checks) if running.mine(number)]
    for name, check in running.until_time_is_up(checks, "checks"):
        running.check(name, partial(check, DEVICE))


if __name__ == "__main__":
    shared("gpu.contract", body)
