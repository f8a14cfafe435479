"""`tools/gpu_check` on the emulated driver: it finishes, saves, goes on after a crash, and says what failed.

What it runs is tiny here; that the sections themselves can fail is shown by giving them something that does.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOL = ROOT / "tools" / "gpu_check"
FAILURE, INCOMPLETE = 1, 3
ALL_BUT_ONE = ("environment", "contract", "tests", "speed", "twins", "memcheck")
"""racecheck is the same code as memcheck."""

pytest.importorskip("cuda.core")
if shutil.which(os.environ.get("CXX") or "g++") is None:
    pytest.skip("no C++ compiler for the emulated driver", allow_module_level=True)


def command(out: Path, *words: str | Path) -> list[str]:
    """The tool's command line for the emulated driver; of each section only what has to do with addition."""
    return [sys.executable, str(TOOL), "--emulated", "--only", "add", "--out", str(out), *map(str, words)]


def saved(out: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """The sections in the JSON file by name, and the Markdown file."""
    (stored,) = out.glob("gpu_check-*.json")
    report = json.loads(stored.read_text())
    return {outcome["name"]: outcome for outcome in report["outcomes"]}, stored.with_suffix(".md").read_text()


def run(status: int, words: Sequence[str]) -> str:
    """What the tool prints; it must end with this status."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def states(sections: dict[str, dict[str, Any]]) -> dict[str, str]:
    """How each section ended."""
    return {name: outcome["state"] for name, outcome in sections.items()}


def outcomes(section: dict[str, Any]) -> dict[str, str]:
    """The cases of a section, by the last part of their names."""
    cases = [record for record in section["records"] if record["kind"] == "case"]
    return {case["name"].rpartition("::")[2]: case["outcome"] for case in cases}


@pytest.fixture
def tests_file(tmp_path: Path) -> Path:
    """A file with one test, which passes."""
    path = tmp_path / "test_add.py"
    path.write_text("def test_add(): assert 1 + 1 == 2\n")
    return path


def sanitizer(tmp_path: Path, summary: str, status: int = 0) -> Path:
    """A program in the place of compute-sanitizer: runs what it is given, then reports as told."""
    path = tmp_path / "compute-sanitizer"
    path.write_text(
        dedent(
            f"""\
            #!{sys.executable}
            import subprocess, sys
            words = sys.argv[1:]
            if words == ["--version"]:
                sys.exit(print("Version 0.0.0 (a stand-in)"))
            start = words.index(sys.executable)
            assert subprocess.run(words[start:]).returncode == 0
            print({summary!r})
            sys.exit({status})
            """
        )
    )
    path.chmod(0o755)
    return path


def test_everything_at_once(tmp_path: Path, tests_file: Path) -> None:
    tool = sanitizer(tmp_path, "========= ERROR SUMMARY: 0 errors")
    out = tmp_path / "out"
    words = ("--shards", "2", "--tests", tests_file, "--sanitizer", tool, "--sections", ",".join(ALL_BUT_ONE))
    printed = run(0, command(out, *words))
    sections, table = saved(out)
    assert states(sections) == dict.fromkeys(ALL_BUT_ONE, "ok"), table
    assert outcomes(sections["contract"]) == {"values.add": "passed", "values.scatter_add": "passed"}
    assert outcomes(sections["tests"]) == {"test_add": "passed"}
    assert outcomes(sections["memcheck"]) == {"memcheck: short run": "passed", "memcheck": "passed"}
    figures = {r["name"]: r for r in sections["speed"]["records"] if r["kind"] == "figure"}
    assert figures["add"]["seconds"]["plugrad"] > 0 and figures["add"]["ratios"] == {}
    assert sum(outcome == "passed" for outcome in outcomes(sections["twins"]).values()) > 20
    lines = table.splitlines()
    assert next(line for line in lines if line.startswith("| add |")).count("|") == 6
    assert "| driver in use | emulated |  |  |  |" in lines
    assert any("no ratios to torch" in line for line in lines)
    assert str(tmp_path) not in table and str(ROOT) not in table
    assert "gpu_check-" in printed and not list(out.glob("*.part"))


def test_failures_are_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = tmp_path / "test_bad.py"
    bad.write_text("def test_add(): assert 1 + 1 == 3\ndef test_add_again(): pass\n")
    report = "========= Invalid global write of size 4\n========= ERROR SUMMARY: 2 errors"
    tool = sanitizer(tmp_path, report, 99)
    words = ("--sections", "memcheck,contract,tests", "--tests", bad, "--sanitizer", tool)
    run(FAILURE, command(tmp_path / "out", *words))
    sections, table = saved(tmp_path / "out")
    assert states(sections) == {"contract": "ok", "tests": "failed", "memcheck": "failed"}
    assert outcomes(sections["tests"]) == {"test_add": "failed", "test_add_again": "passed"}
    assert "assert (1 + 1) == 3" in table and "Invalid global write of size 4" in table


def test_a_crash_of_one_section_leaves_the_others(tmp_path: Path, tests_file: Path) -> None:
    tests_file.write_text("import os\ndef test_add(): pass\ndef test_add_crash(): os.kill(os.getpid(), 11)\n")
    run(
        FAILURE, command(tmp_path / "out", "--sections", "contract,tests,speed", "--tests", tests_file, "--shards", "1")
    )
    sections, table = saved(tmp_path / "out")
    assert states(sections) == {"contract": "ok", "tests": "failed", "speed": "ok"}
    assert outcomes(sections["tests"]) == {"test_add": "passed"}
    assert "status -11" in table


def sleeper(path: Path, marker: Path) -> None:
    """A test that passes, then one that sleeps and says under which process id."""
    path.write_text(
        dedent(
            f"""\
            import os, pathlib, time
            def test_add(): pass
            def test_add_sleeps():
                part = pathlib.Path({str(marker)!r} + ".part")
                part.write_text(str(os.getpid()))
                part.replace({str(marker)!r})
                time.sleep(100)
            """
        )
    )


def alive(marker: Path) -> bool:
    """Whether the sleeping process is still there."""
    return Path(f"/proc/{marker.read_text()}").exists()


def test_a_signal_saves_what_there_is(tmp_path: Path, tests_file: Path) -> None:
    marker, out = tmp_path / "asleep", tmp_path / "out"
    sleeper(tests_file, marker)
    words = command(out, "--sections", "contract,tests,speed", "--tests", tests_file, "--shards", "1")
    tool = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    for _ in range(600):
        if marker.exists() or tool.poll() is not None:
            break
        time.sleep(0.1)
    states_before = states(saved(out)[0])
    tool.send_signal(signal.SIGTERM)
    printed, _ = tool.communicate(timeout=30)
    assert tool.returncode == INCOMPLETE, printed
    assert states_before == {"contract": "ok", "tests": "running", "speed": "not begun"}
    sections, table = saved(out)
    assert states(sections) == {"contract": "ok", "tests": "cut off", "speed": "not begun"}
    assert outcomes(sections["tests"]) == {"test_add": "passed"}
    assert "stopped by signal SIGTERM" in table and not alive(marker)


def test_a_limit_ends_a_section_and_the_next_one_runs(tmp_path: Path, tests_file: Path) -> None:
    marker = tmp_path / "asleep"
    sleeper(tests_file, marker)
    words = ("--sections", "tests,speed", "--tests", tests_file, "--limit", "8", "--shards", "1")
    run(INCOMPLETE, command(tmp_path / "out", *words))
    sections, table = saved(tmp_path / "out")
    assert states(sections) == {"tests": "cut off", "speed": "ok"}
    assert outcomes(sections["tests"]) == {"test_add": "passed"}
    assert "stopped at its limit of 8 s" in table and not alive(marker)


def test_a_spent_budget_begins_nothing(tmp_path: Path) -> None:
    run(INCOMPLETE, command(tmp_path / "out", "--sections", "contract", "--budget", "2"))
    sections, _ = saved(tmp_path / "out")
    assert states(sections) == {"contract": "cut off"} and "no time was left" in sections["contract"]["why"]


def test_without_a_gpu_it_fails_and_says_so(tmp_path: Path) -> None:
    words = [sys.executable, str(TOOL), "--sections", "environment,contract", "--out", str(tmp_path)]
    done = subprocess.run(words, env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}, capture_output=True, text=True)
    assert done.returncode == FAILURE, done.stdout + done.stderr
    sections, table = saved(tmp_path)
    assert states(sections) == {"environment": "failed", "contract": "cut off"}
    assert "backend 'cuda'" in table and "the environment cannot run it" in table


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of benchmarks/gpu by its name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return lambda name: importlib.import_module(f"gpu.{name}")


Part = Callable[[str], ModuleType]


def judged(part: Part, path: Path, status: int = 0) -> Any:
    """The outcome of a section from the records in a file and its exit status."""
    outcome = part("report").Outcome("section", records=part("records").read(path))
    outcome.judge(status)
    return outcome


def test_the_packages_are_declared_outside_the_tree(
    tmp_path: Path, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = part("packages")
    monkeypatch.setattr(packages, "compiled_here", lambda: True)
    paths, site = packages.prepare(tmp_path / "one")
    points = {p.name: p.value for d in metadata.distributions(path=[str(paths[0])]) for p in d.entry_points}
    assert points["cuda"] == "plugrad_cuda.plugin" and points["cpu"] == "plugrad_cpu.plugin" and len(points) == 7
    assert site is None and ROOT / "plugins_cpu" / "src" in paths and ROOT / "core" / "src" in paths
    monkeypatch.setattr(packages, "compiled_here", lambda: False)
    paths, site = packages.prepare(tmp_path / "two")
    points = {p.name: p.value for d in metadata.distributions(path=[str(paths[0])]) for p in d.entry_points}
    assert "cpu" not in points and len(points) == 6
    assert site == tmp_path / "two" / "compiled" and ROOT / "plugins_cpu" / "src" not in paths


@pytest.mark.parametrize(
    ("output", "status", "state"),
    [
        ("========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors", 0, "ok"),
        (
            "========= Race reported\n========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)",
            99,
            "failed",
        ),
        ("========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)", 0, "ok"),
        ("========= ERROR SUMMARY: 0 errors", 1, "failed"),
        ("========= Error: Device not supported. Please refer to the notes\n", 1, "absent"),
        ("Traceback: it broke", 1, "failed"),
    ],
)
def test_what_the_sanitizer_says(tmp_path: Path, part: Part, output: str, status: int, state: str) -> None:
    path = tmp_path / "records"
    with part("records").section(["--records", str(path)]) as running:
        part("sanitize").judge(running, "memcheck", status, output)
    assert judged(part, path).state == state


def test_a_torn_record_is_left_out(tmp_path: Path, part: Part) -> None:
    path = tmp_path / "records"
    path.write_text('{"kind": "case", "name": "one", "outcome": "passed", "detail": ""}\n{"kind": "ca')
    outcome = judged(part, path, -9)
    assert (outcome.state, len(outcome.records)) == ("failed", 1) and "status -9" in outcome.why
    path.write_text('{"kind": "complete"}\n')
    assert (judged(part, path).state, judged(part, path).why) == ("failed", "nothing was checked")


def test_twins_that_differ_are_told(tmp_path: Path, part: Part) -> None:
    path, x = tmp_path / "records", np.linspace(0, 1, 5, dtype=np.float32)
    one = {"alike": ("exact", (x,)), "apart": ("function", (x,)), "shape": ("exact", (x,)), "alone": ("exact", (x,))}
    two = {"alike": ("exact", (x,)), "apart": ("function", (x + 1e-4,)), "shape": ("exact", (x[:4],))}
    with part("records").section(["--records", str(path)]) as running:
        part("twins").compare(running, one, two, ("emulated", "hardware"))
    assert outcomes({"records": part("records").read(path)}) == {
        "alike": "passed",
        "apart": "failed",
        "shape": "failed",
    }
    assert judged(part, path).state == "failed"


def test_a_twin_is_found_in_the_sources(tmp_path: Path, part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.cuh").write_text("#ifdef PLUGRAD_EMULATED\n#else\n#endif\n")
    (tmp_path / "b.cu").write_text("// PLUGRAD_EMULATED is not asked for here\n")
    (tmp_path / "c.cu").write_text("# if !defined(PLUGRAD_EMULATED) && 1\n#endif\n")
    monkeypatch.setattr(part("twins"), "SOURCES", tmp_path)
    assert part("twins").guarded() == ["c.cu", "a.cuh"]


def library(part: Part, name: str, add: Callable[[Any, Any], Any]) -> Any:
    """NumPy in the place of a library, with an addition of its own."""
    return part("peers").Library(name, add, np.asarray, np.asarray, lambda: None)


def test_a_wrong_result_is_not_timed(part: Part) -> None:
    case = part("cases").Case("add", (4, 4), lambda n: (), lambda add, x, y: add(x, y), np.add)
    arrays = (np.arange(12, dtype=np.float32).reshape(3, 4), np.ones(4, np.float32))
    prepared = part("speed").prepared
    assert prepared(case, library(part, "ours", np.add), arrays, np.add(*arrays)) is not None
    for wrong in (np.subtract, lambda x, y: np.add(x, y)[:2]):
        with pytest.raises(AssertionError):
            prepared(case, library(part, "ours", wrong), arrays, np.add(*arrays))


def test_ratios_say_how_many_times_faster_we_are(part: Part) -> None:
    order: list[str] = []
    works = {name: ((lambda name=name: order.append(name)), lambda: None) for name in ("plugrad", "torch", "cupy")}
    times = {"plugrad": 2.0, "torch": 5.0, "cupy": 1.0}

    def clock(work: Callable[[], Any], wait: Callable[[], Any], calls: int) -> float:
        work()
        return times[order[-1]]

    seconds, ratios = part("peers").in_turn(works, part("peers").Effort(0.0, 3, 2), clock)
    assert (seconds, ratios) == (times, {"torch": 2.5, "cupy": 0.5})
    assert order[-9:] == ["plugrad", "torch", "cupy", "torch", "cupy", "plugrad", "cupy", "plugrad", "torch"]
    record = {"name": "add", "seconds": seconds, "ratios": ratios, "rate": 3e9, "unit": "B"}
    assert part("report").figure(record) == "| add | 2 s | 2.50 | 0.50 | 3 GB/s |"
