"""`tools/gpu_check` on the emulated driver: it finishes, saves, goes on after a crash, and says what failed.

What it runs is tiny here; that the sections themselves can fail is shown by giving them something that does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

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
    found = outcomes(sections["contract"])
    assert {"values.add.float32", "values.logaddexp.float32", "values.scatter_add.float32"} <= set(found)
    assert set(found.values()) == {"passed"}
    assert outcomes(sections["tests"]) == {"test_add": "passed"}
    assert outcomes(sections["memcheck"]) == {"memcheck: short run": "passed", "memcheck": "passed"}
    figures = {r["name"]: r for r in sections["speed"]["records"] if r["kind"] == "figure"}
    assert figures["add"]["seconds"]["plugrad"] > 0 and figures["add"]["ratios"] == {}
    assert sum(outcome == "passed" for outcome in outcomes(sections["twins"]).values()) > 20
    lines = table.splitlines()
    assert next(line for line in lines if line.startswith("| add |")).count("|") == 6
    assert "| driver in use | emulated |  |  |  |" in lines
    assert any("no ratios to torch" in line for line in lines)
    facts = [record["name"] for record in sections["environment"]["records"] if record["kind"] == "fact"]
    own = ("", "-cpu", "-cuda", "-data", "-nn", "-norm", "-optim", "-train")
    assert sorted(name for name in facts if name.startswith("plugrad")) == [f"plugrad{ending}" for ending in own]
    assert str(tmp_path) not in table and str(ROOT) not in table
    assert re.search(r"gpu_check-\d{8}-\d{6}-emulated\.md", printed)
    assert sorted(path.suffix for path in out.iterdir()) == [".json", ".md"]


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
    logs = {path.name.split("-")[-1]: path.read_text() for path in (tmp_path / "out").glob("*.log")}
    assert logs.keys() == {"tests.log", "memcheck.log"} and "1 failed, 1 passed" in logs["tests.log"]


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


def test_a_signal_before_the_first_section(tmp_path: Path) -> None:
    marker, out = tmp_path / "asked", tmp_path / "out"
    git = tmp_path / "git"
    git.write_text(
        f"#!{sys.executable}\nimport pathlib, time\npathlib.Path({str(marker)!r}).touch()\ntime.sleep(100)\n"
    )
    git.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    tool = subprocess.Popen(command(out, "--sections", "contract"), env=env, **pipes)
    until = time.monotonic() + 15
    while not marker.exists() and time.monotonic() < until:
        time.sleep(0.05)
    tool.send_signal(signal.SIGTERM)
    printed, _ = tool.communicate(timeout=30)
    assert tool.returncode == INCOMPLETE and "Traceback" not in printed, printed
    sections, table = saved(out)
    assert states(sections) == {"contract": "not begun"} and "stopped by signal SIGTERM" in table


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = command(tmp_path / "file" / "out", "--sections", "contract")
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "name another folder with --out" in done.stderr and "contract" not in done.stdout


def test_results_that_cannot_be_saved_later(tmp_path: Path, tests_file: Path) -> None:
    out = tmp_path / "out"
    lines = ["import pathlib, shutil", "def test_add():", f"    shutil.rmtree({str(out)!r})"]
    tests_file.write_text("\n".join([*lines, f"    pathlib.Path({str(out)!r}).touch()"]))
    words = ("--sections", "tests,speed", "--tests", tests_file, "--shards", "1")
    printed = run(FAILURE, command(out, *words))
    assert printed.count("the results cannot be saved") == 1 and "==> not saved" in printed
    assert "ok; 1 passed" in printed.partition("speed (at most")[0] and "ok" in printed.partition("speed (at most")[2]


def test_a_home_folder_that_is_the_root(tmp_path: Path) -> None:
    words = command(tmp_path / "out", "--sections", "memcheck", "--sanitizer", "")
    subprocess.run(words, env=os.environ | {"HOME": "/"}, capture_output=True, timeout=60, check=True)
    assert "`tools/gpu_check --emulated" in saved(tmp_path / "out")[1]


def test_a_sanitizer_without_calls_has_checked_nothing(tmp_path: Path) -> None:
    tool = sanitizer(tmp_path, "========= ERROR SUMMARY: 0 errors")
    run(FAILURE, command(tmp_path / "out", "--sections", "memcheck", "--sanitizer", tool, "--only", "no such call"))
    sections, _ = saved(tmp_path / "out")
    assert sections["memcheck"]["why"] == "nothing was checked"
