"""The kit's part of pytest: options, one test a check, known gaps, and what is said at the end."""

from __future__ import annotations

from typing import Any

import pytest

from ...backend import BACKENDS, __version__
from ...errors import ArgumentError, PlugradError
from ...plugins import API
from ..capture import load, replay_checks
from ..contract.subject import Subject
from ..kit.check import Check, NotHere
from ..listing import checks, protocol_of
from .gaps import Gap, check_gaps, gap_of, of_backend, of_file
from .report import Outcome, Report, check_writable

KINDS = ("op", "layer", "loss", "optimizer", "dataset")
MODULE = f"{__package__}.test_conformance"
STALE = "[XPASS(strict)]"
"""How pytest begins what it says of a check that passes though it should not."""
SEEN = "plugrad.check"
"""The key under which a test carries what its check is."""


def add_options(parser: pytest.Parser) -> None:
    """The kit's own options."""
    group = parser.getgroup("plugrad", "conformance of backends and plugins of plugrad")
    group.addoption("--backend", default="numpy", metavar="NAME", help="the device to check, such as cpu or cuda:0")
    group.addoption("--quick", action="store_true", help="the usual dtypes, fewer samples, no second derivatives")
    for kind in KINDS:
        group.addoption(f"--{kind}", default="", metavar="NAME", help=f"only the checks of this {kind}")
    group.addoption("--only", default="", metavar="TEXT", help="only the checks whose names contain the text")
    group.addoption("--known-gaps", default=None, metavar="FILE", help="'pattern: reason' of the checks that fail")
    group.addoption("--captured", default=None, metavar="FILE", help="replay what `plugrad capture` recorded")
    group.addoption("--report", default=None, metavar="FILE", help="write what came out, as JSON")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """The run begins: after other plugins, which may bring what the device needs."""
    config.addinivalue_line("filterwarnings", "ignore::plugrad.errors.FallbackWarning")
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "short"
    device = config.getoption("backend")
    try:
        kit = _Kit(config, device)
    except PlugradError as error:
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(kit, "plugrad-kit")


class _Kit:
    """One run of the kit."""

    def __init__(self, config: pytest.Config, device: str) -> None:
        option = config.getoption
        quick, chosen = option("quick"), {kind: option(kind) for kind in KINDS}
        if option("captured"):
            self.checks = [c for c in replay_checks(load(option("captured")), device) if option("only") in c.name]
            if not self.checks:
                raise ArgumentError(f"{option('captured')}: no captured call has {option('only')!r} in its name")
        else:
            self.checks = checks(device, quick=quick, only=option("only"), **chosen)
        given = option("known_gaps")
        self.gaps: list[Gap] = of_backend(device) if given is None else of_file(given)
        if self.gaps and not quick:
            check_gaps(self.gaps, [check.name for check in (*checks(device), *self.checks)])
        about = {check.subject for check in self.checks if check.kind in ("backend", "op")}
        ops = about if any(chosen.values()) or option("captured") else None
        self.report = Report(device, quick, ops)
        self.path = None if option("collectonly") else option("report")
        if self.path:
            check_writable(self.path)

    def pytest_report_header(self) -> str:
        """What is checked."""
        subject = Subject(self.report.device)
        owner = BACKENDS[subject.index].distribution or "plugrad"
        protocol = ".".join(map(str, API))
        return f"plugrad {__version__}, protocol {protocol}: {self.report.device} of {owner}, {len(self.checks)} checks"

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test a check."""
        if metafunc.module.__name__ == MODULE:
            metafunc.parametrize("check", [pytest.param(c, id=c.name, marks=self._marks(c)) for c in self.checks])

    def _marks(self, check: Check) -> list[pytest.MarkDecorator]:
        gap = gap_of(check.name, self.gaps)
        if gap is not None:
            reason = f"known gap, {gap.where}: {gap.reason}"
            strict = not self.report.quick  # a quick run may leave out the very call that fails
            return [pytest.mark.xfail(reason=reason, strict=strict)]
        written = protocol_of(check)
        if check.since > written:
            new, old = [".".join(map(str, version)) for version in (check.since, written)]
            reason = f"note: this check is of protocol {new}, the plugin of {old}"
            return [pytest.mark.xfail(reason=reason, strict=False)]
        return []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Every test carries what its check is, from a worker process too."""
        for item in items:
            check = item.callspec.params.get("check") if hasattr(item, "callspec") else None
            if isinstance(check, Check):
                item.user_properties.append((SEEN, [check.name, check.kind, check.subject, check.dtype]))

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Any:
        """NotHere is a skip with its reason."""
        try:
            return (yield)
        except NotHere as reason:
            pytest.skip(str(reason))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what came out of a check."""
        told = next((value for key, value in report.user_properties if key == SEEN), None)
        if isinstance(told, list) and report.when == "call":
            name, kind, subject, dtype = map(str, told)
            seconds = round(report.duration, 4)
            self.report.add(Outcome(name, kind, subject, dtype, _outcome(report), seconds, _message(report)))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """What is right, wrong and missing."""
        if self.report.outcomes:
            terminalreporter.section(f"{self.report.device}: conformance")
            terminalreporter.write_line(str(self.report))
        if self.path:
            try:
                self.report.write(self.path)
                said = f"report: {self.path}"
            except OSError as error:
                said = f"report: {self.path} cannot be written: {error.strerror or error}"
            terminalreporter.write_line(said)


def _outcome(report: pytest.TestReport) -> str:
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        note = str(expected).startswith("note:")
        return ("note" if note else "known gap") if report.skipped else "passed"
    return {"passed": "passed", "failed": "failed", "skipped": "not here"}[report.outcome]


def _message(report: pytest.TestReport) -> str:
    """The reason of whatever did not pass, on one line."""
    if report.passed:
        return ""
    if STALE in str(report.longrepr):
        where = str(report.longrepr).partition("known gap, ")[2]
        return f"passes, but is a known gap, {where}; take the line out"
    expected = [str(report.wasxfail)] if getattr(report, "wasxfail", None) is not None else []
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    return ": ".join([*expected, " ".join(text.removeprefix("AssertionError: ").partition("\nassert ")[0].split())])
