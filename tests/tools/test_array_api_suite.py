"""The runner of the Array API's suite: what it reads, how it judges, what it refuses."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
A, B, C = (f"array_api_tests/test_one.py::test_{name}" for name in "abc")
SPECIAL = "array_api_tests/test_special_cases.py::test_unary[abs]"


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("tools_array_api_suite", str(ROOT / "tools" / "array_api_suite"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, loader.name, module)
    loader.exec_module(module)
    return module


def test_the_lists_have_reasons(suite: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "xfails.txt"
    path.write_text(f"# a heading\n\n{A}  # because\n{B}[x-1 # 2]  # two # signs\n")
    assert suite.known_failures([path], 20) == {A: "because", f"{B}[x-1 # 2]": "two # signs"}
    for text, wrong in ((f"{A}\n", "1: .* no reason"), (f"{A}  # x\n{A}  # y\n", "2: .* listed twice")):
        path.write_text(text)
        with pytest.raises(ValueError, match=wrong):
            suite.known_failures([path], 20)


def test_a_failure_that_few_examples_do_not_find(suite: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "xfails.txt"
    path.write_text(f"{A}  # from 50 examples: rare\n{B}  # why\n")
    assert set(suite.known_failures([path], 49)) == {B}
    assert set(suite.known_failures([path], 50)) == {A, B}
    path.write_text(f"{A}  # from 50 examples: rare\n{A}  # why\n")
    with pytest.raises(ValueError, match=r"2: .* listed twice"):
        suite.known_failures([path], 20)


def test_our_lists_can_be_read(suite: ModuleType) -> None:
    assert all(
        name.startswith("array_api_tests/") for name in suite.known_failures(sorted(suite.LISTS.glob("*.txt")), 100)
    )


def test_as_listed_is_no_problem(suite: ModuleType) -> None:
    verdict = suite.Verdict({A: "passed", B: "xfailed", C: "skipped"}, {B: "why"})
    assert verdict.problems == []
    assert str(verdict) == "1 passed, 1 xfailed, 1 skipped of 3; 1 of those that fail are outside test_special_cases"


@pytest.mark.parametrize(
    ("outcomes", "known", "problem"),
    [
        ({A: "failed"}, {}, f"failed: {A}"),
        ({A: "error"}, {}, f"failed: {A}"),
        ({A: "xpassed"}, {A: "why"}, f"passed, but is listed: {A}"),
        ({A: "passed"}, {B: "why"}, f"listed, but no such test: {B}"),
        ({}, {}, "no test was run"),
    ],
)
def test_anything_else_is(suite: ModuleType, outcomes: dict[str, str], known: dict[str, str], problem: str) -> None:
    assert suite.Verdict(outcomes, known).problems == [problem]


def test_a_part_of_the_suite_may_lack_listed_tests(suite: ModuleType) -> None:
    assert suite.Verdict({A: "passed"}, {B: "why"}, partial=True).problems == []
    assert suite.Verdict({A: "failed"}, {B: "why"}, partial=True).problems == [f"failed: {A}"]


def test_special_cases_are_counted_apart(suite: ModuleType) -> None:
    verdict = suite.Verdict({A: "failed", SPECIAL: "xfailed", B: "passed"}, {SPECIAL: "why"})
    assert verdict.failures() == [A, SPECIAL]
    assert str(verdict).endswith("of 3; 1 of those that fail are outside test_special_cases")


def test_the_report_is_read(suite: ModuleType, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert suite.outcomes(report) == {}
    report.write_text(json.dumps({"tests": [{"nodeid": A, "outcome": "passed"}, {"nodeid": B, "outcome": "xfailed"}]}))
    assert suite.outcomes(report) == {A: "passed", B: "xfailed"}


def test_another_commit_is_refused(suite: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="check that out"):
        suite.check_checkout(tmp_path)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    suite.check_checkout(tmp_path, {".": head})
    with pytest.raises(SystemExit, match=f"is at {head}, but the lists are for 0+"):
        suite.check_checkout(tmp_path, {".": "0" * 40})
    with pytest.raises(SystemExit, match="array-api is at"):
        suite.check_checkout(tmp_path, {".": head, "array-api": head})


def test_a_run_sees_one_backend_beside_the_reference(
    suite: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUGRAD_FALLBACK", "error")
    monkeypatch.setenv("ARRAY_API_TESTS_SKIP_DTYPES", "uint64")
    seen = suite.environment("mine:1", tmp_path / "packages", tmp_path)
    assert seen["PLUGRAD_PLUGINS"] == "mine" and "PLUGRAD_FALLBACK" not in seen
    assert "ARRAY_API_TESTS_SKIP_DTYPES" not in seen and seen["PYTHONPATH"].endswith("packages")
    assert suite.environment("numpy", tmp_path, tmp_path)["PLUGRAD_PLUGINS"] == "none"


def test_the_module_is_what_the_suite_executes(suite: ModuleType) -> None:
    text = suite.module("numpy")
    assert text.startswith("exec('") and text.endswith("')")
    names: dict[str, ModuleType] = {}
    exec(text[6:-2], names)
    try:
        assert names["xp"].__name__ == "plugrad" and names["xp"].zeros(1).device == "numpy"
    finally:
        names["plugrad"].ops.creation._default.clear()


CHECKOUT = {
    "pytest.ini": "[pytest]\n",
    "conftest.py": """
from hypothesis import settings
from pytest import mark

def pytest_addoption(parser):
    parser.addoption("--max-examples", type=int)
    parser.addoption("--xfails-file")
    parser.addoption("--derandomize", action="store_true")
    parser.addoption("--disable-deadline", action="store_true")

def pytest_configure(config):
    settings.register_profile("array-api-tests", max_examples=config.getoption("--max-examples"), derandomize=True)
    settings.load_profile("array-api-tests")

def pytest_collection_modifyitems(config, items):
    listed = open(config.getoption("--xfails-file")).read().split("\\n")
    for item in items:
        if item.nodeid in listed:
            item.add_marker(mark.xfail(reason="listed"))
""",
    "array_api_tests/test_one.py": """
import os
from hypothesis import given, settings, strategies as st

def test_a():
    assert os.environ["ARRAY_API_TESTS_MODULE"].startswith("exec(")
    assert len(settings.default.phases) == 2 and settings.default.max_examples == 7

@given(st.integers())
def test_b(x):
    assert x < 0

def test_c():
    pass
""",
}


def test_a_whole_run(
    suite: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Over a checkout of three tests, with a stand-in for the report's writer."""
    packages, lists, checkout = tmp_path / "packages", tmp_path / "lists", tmp_path / "checkout"
    for name, text in CHECKOUT.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
    packages.mkdir()
    lists.mkdir()
    (packages / "report_writer.py").write_text("""
import json

TESTS = {}

def pytest_addoption(parser):
    parser.addoption("--json-report", action="store_true")
    parser.addoption("--json-report-file")

def pytest_runtest_logreport(report):
    if report.when == "call":
        word = {("skipped", True): "xfailed", ("passed", True): "xpassed"}
        TESTS[report.nodeid] = word.get((report.outcome, hasattr(report, "wasxfail")), report.outcome)

def pytest_sessionfinish(session):
    tests = [{"nodeid": name, "outcome": outcome} for name, outcome in TESTS.items()]
    open(session.config.getoption("--json-report-file"), "w").write(json.dumps({"tests": tests}))
""")
    monkeypatch.setattr(suite, "LISTS", lists)
    monkeypatch.setattr(suite, "check_checkout", lambda path: None)
    monkeypatch.setattr(suite, "packages", lambda: packages)
    arguments = [str(checkout), "--max-examples", "7", "--", "-p", "report_writer"]
    (lists / "xfails.txt").write_text(f"{B}  # its nature\n")
    assert suite.main(arguments) == 0
    assert "===== 2 passed, 1 xfailed of 3; 1 of those" in capfd.readouterr().out
    (lists / "xfails.txt").unlink()
    (lists / "xfails-numpy.txt").write_text(f"{C}  # not true\n")
    assert suite.main(arguments) == 1
    said = capfd.readouterr().out
    assert f"passed, but is listed: {C}" in said and f"failed: {B}" in said
