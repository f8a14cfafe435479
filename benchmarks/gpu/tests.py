"""Section: the tests of plugrad-cuda. On a GPU without those of the emulator, which would take the driver's place."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from .records import CUDA_TESTS, ROOT, Section, driver_in_use, shared

EMULATORS_OWN = "test_emulator*"


class Reporter:
    """A plugin of pytest that hands on each test's outcome as it comes."""

    def __init__(self, running: Section) -> None:
        self.running = running
        self.bad: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep this process's part; the tests of a file stay together, since they may share what is costly."""
        files = sorted({item.path for item in items})
        items[:] = [item for item in items if self.running.mine(files.index(item.path))]

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be read is a failure; one that skips itself as a whole says why."""
        if self.running.shard:
            return  # every process collects all files
        if report.failed:
            self.running.case(report.nodeid or "collection", "failed", last_line(report))
        elif report.skipped:
            self.running.case(report.nodeid, "skipped", reason(report))

    def pytest_runtest_logreport(self, report: Any) -> None:
        """One record a test, and one more if cleaning up after it fails."""
        if report.failed:
            self.running.case(report.nodeid, "failed", f"{report.when}: {last_line(report)}")
        elif report.skipped:
            self.running.case(report.nodeid, "skipped", reason(report))
        elif report.when == "call":
            self.running.case(report.nodeid, "passed")


def reason(report: Any) -> str:
    """Why something was skipped."""
    if hasattr(report, "wasxfail"):
        return f"expected failure: {report.wasxfail}"
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


def last_line(report: Any) -> str:
    """What pytest would print in its summary, and where."""
    text = report.longreprtext.strip()
    said = [line[1:].strip() for line in text.splitlines() if re.match(r"E\s", line)]
    return "; ".join([*said[:6], text.splitlines()[-1] if text else "?"])


def arguments(running: Section) -> list[str]:
    """What pytest is told. Nothing is written into the source tree."""
    words = ["-q", "-p", "no:cacheprovider", "-m", "not slow", "-c", str(ROOT / "setup.cfg"), f"--rootdir={ROOT}"]
    words.append("--continue-on-collection-errors")
    if not running.emulated:
        words.append(f"--ignore-glob=*/{EMULATORS_OWN}")
    if running.only:
        words += ["-k", running.only]
    return [*words, *(running.rest or [str(CUDA_TESTS)])]


def body(running: Section) -> None:
    """Run pytest in this process, then say if the tests met another driver than they should."""
    os.environ["PLUGRAD_CUDA_EMULATE"] = "1" if running.emulated else "0"
    if not running.emulated and not running.shard:
        running.note(f"left out: {EMULATORS_OWN}, which test the emulated driver itself")
    status = pytest.main(arguments(running), plugins=[Reporter(running)])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        running.case("pytest", "failed", f"pytest ended with status {int(status)}")
    if not running.emulated and driver_in_use() == "emulated":
        running.case("tests on the real driver", "failed", "some test loaded the emulated driver into the process")


if __name__ == "__main__":
    shared("gpu.tests", body)
