"""Section: the conformance kit on the GPU: what a backend keeps, and the plugins' ops, layers, optimizers on it."""

from __future__ import annotations

import importlib

from .records import DEVICE, Section, shared


def body(running: Section) -> None:
    """Run every check as a case of its own."""
    running.emulate()
    testing = importlib.import_module("plugrad.testing")
    checks = [check for check in testing.checks(DEVICE) if check.kind != "dataset" and running.wants(check.name)]
    checks = [check for number, check in enumerate(checks) if running.mine(number)]
    for check in running.until_time_is_up(checks, "checks"):
        running.check(check.name, check)


if __name__ == "__main__":
    shared("gpu.contract", body)
