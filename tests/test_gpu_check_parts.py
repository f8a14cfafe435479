"""What `tools/gpu_check` is made of, piece by piece: names, records, hidden paths, and sections that are cut off."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of benchmarks/gpu by its name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return lambda name: importlib.import_module(f"gpu.{name}")


Part = Callable[[str], ModuleType]


@pytest.fixture
def tool(part: Part, monkeypatch: pytest.MonkeyPatch) -> Any:
    """tools/gpu_check as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("gpu_check", str(ROOT / "tools" / "gpu_check"))
    spec = importlib.util.spec_from_loader("gpu_check", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_check", module)
    loader.exec_module(module)
    return module


def program(path: Path, text: str) -> Path:
    """A program in Python."""
    path.write_text(f"#!{sys.executable}\n{dedent(text)}")
    path.chmod(0o755)
    return path


def cases(part: Part, path: Path) -> dict[str, str]:
    """The cases in a file of records, with how they ended."""
    return {record["name"]: record["outcome"] for record in part("records").read(path) if record["kind"] == "case"}


def judged(part: Part, path: Path, status: int = 0) -> Any:
    """The outcome of a section from the records in a file and its exit status."""
    outcome = part("report").Outcome("section", records=part("records").read(path))
    outcome.judge(status)
    return outcome


def _points(distribution: metadata.Distribution) -> metadata.EntryPoints:
    return distribution.entry_points.select(group="plugrad")


def test_the_packages_are_declared_outside_the_tree(
    tmp_path: Path, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = part("packages")
    monkeypatch.setattr(packages, "compiled_here", lambda: True)
    paths, site = packages.prepare(tmp_path / "one")
    points = {p.name: p.value for d in metadata.distributions(path=[str(paths[0])]) for p in _points(d)}
    assert points["cuda"] == "plugrad_cuda.plugin" and points["cpu"] == "plugrad_cpu.plugin" and len(points) == 7
    assert site is None and ROOT / "plugins_cpu" / "src" in paths and ROOT / "core" / "src" in paths
    monkeypatch.setattr(packages, "compiled_here", lambda: False)
    paths, site = packages.prepare(tmp_path / "two")
    points = {p.name: p.value for d in metadata.distributions(path=[str(paths[0])]) for p in _points(d)}
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


def test_a_torn_record_is_told(tmp_path: Path, part: Part) -> None:
    path = tmp_path / "records"
    passed = '{"kind": "case", "name": "one", "outcome": "passed", "detail": ""}\n'
    path.write_text(passed + '{"kind": "ca')
    outcome = judged(part, path, -9)
    assert outcome.state == "failed" and "status -9" in outcome.why
    assert part("report").remarks(outcome) == ['section: a record was torn: {"kind": "ca']
    for torn in ('{"kind": "ca{"kind": "note", "text": ""}', "17", "{}"):
        path.write_text(f'{passed}{torn}\n{{"kind": "complete"}}\n')
        assert (judged(part, path).state, judged(part, path).why) == (
            "failed",
            "a record was torn while it was written",
        )
    path.write_text('{"kind": "complete"}\n')
    assert (judged(part, path).state, judged(part, path).why) == ("failed", "nothing was checked")


def test_twins_that_differ_are_told(tmp_path: Path, part: Part) -> None:
    path, x = tmp_path / "records", np.linspace(0, 1, 5, dtype=np.float32)
    one = [("alike", "exact", (x,)), ("apart", "function", (x,)), ("shape", "exact", (x,)), ("alone", "exact", (x,))]
    two = [("alike", "exact", (x,)), ("apart", "function", (x + 1e-4,)), ("shape", "exact", (x[:4],))]
    known: list[int] = []

    def coming() -> Iterator[Any]:
        for result in one:
            known.append(len(cases(part, path)))
            yield result

    with part("records").section(["--records", str(path)]) as running:
        part("twins").compare(running, coming(), two, ("emulated", "hardware"))
    assert cases(part, path) == {"alike": "passed", "apart": "failed", "shape": "failed"}
    assert known == [0, 1, 2, 3]  # each is kept before the next one is waited for
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


def test_results_of_a_run_that_does_not_end_are_kept(
    tmp_path: Path, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
        import pickle, sys, time
        kept = open(sys.argv[sys.argv.index("--") + 1], "ab")
        whole = pickle.dumps(("add", "exact", (1, 2)))
        kept.write(whole + whole[:-3])
        kept.flush()
        time.sleep(0.5)
        kept.write(whole[-3:])
        kept.flush()
        time.sleep(100)
        """
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "short_run", text)))
    records = tmp_path / "records"
    start = time.monotonic()
    with part("records").section(["--records", str(records)]) as running:
        found = list(part("twins").results(running, tmp_path, "run", "forward", True, 3.0))
    assert found == [("add", "exact", (1, 2))] * 2 and time.monotonic() - start < 20
    assert (judged(part, records).state, judged(part, records).why) == ("cut off", "run: stopped, since time was up")


def test_a_run_that_crashes_is_a_failure(tmp_path: Path, part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "short_run", "import sys; sys.exit(4)")))
    with part("records").section(["--records", str(tmp_path / "records")]) as running:
        assert list(part("twins").results(running, tmp_path, "run", "forward", True, 30.0)) == []
    assert cases(part, tmp_path / "records") == {"run": "failed"}


SLOW_SANITIZER = """
    import os, pathlib, sys, time
    pathlib.Path(__file__ + ".pid").write_text(str(os.getpid()))
    print("========= COMPUTE-SANITIZER")
    print("========= Error: Race reported in kernel k")
    print("=========     at k+0x10", flush=True)
    time.sleep(100)
    """


@pytest.mark.parametrize("signalled", [True, False])
def test_what_the_sanitizer_found_before_it_was_ended(tmp_path: Path, part: Part, signalled: bool) -> None:
    tool, path = program(tmp_path / "sanitizer", SLOW_SANITIZER), tmp_path / "records"
    command = [sys.executable, "-m", "gpu.sanitize", "--records", str(path)]
    command += [f"--seconds={60 if signalled else 8}", "--", str(tool), "racecheck"]
    running = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT / "benchmarks")})
    until = time.monotonic() + 20
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert part("records").read(path) == [{"kind": "note", "text": "Error: Race reported in kernel k"}]
    if signalled:
        running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 0
    outcome = judged(part, path)
    assert outcome.state == "failed" and outcome.of("cut") and outcome.of("complete")
    assert "Race reported in kernel k | at k+0x10" in outcome.of("case")[0]["detail"]
    assert not Path(f"/proc/{Path(f'{tool}.pid').read_text()}").exists()


def test_an_ended_sanitizer_that_found_nothing_is_cut_off(tmp_path: Path, part: Part) -> None:
    with part("records").section(["--records", str(tmp_path / "records")]) as running:
        part("sanitize").judge(running, "memcheck", None, "========= COMPUTE-SANITIZER\n")
    assert judged(part, tmp_path / "records").state == "cut off"


def test_records_of_several_writers_do_not_mix(tmp_path: Path, part: Part) -> None:
    path = tmp_path / "records"

    def write(number: int) -> None:
        running = part("records").Section(["--records", str(path)])
        for _ in range(40):
            running.note(str(number) * 30_000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    found = part("records").read(path)
    assert len(found) == 320 and all(record == {"kind": "note", "text": record["text"][0] * 30_000} for record in found)


def test_paths_are_hidden_where_they_stand_whole(part: Part, tmp_path: Path) -> None:
    hide = part("report").hiding({"/me": "~", "/": "!", "/me/tree": ".", "/me/tree/": "", "/box/sc": "scratch"})
    text = "/me/a file:///me x=/me. /mes /me-a /me.old /usr/me/b /me/tree /me/tree/c -I/box/sc/d /e"
    assert hide(text) == "~/a file://~ x=~. /mes /me-a /me.old /usr/me/b . c -Iscratch/d /e"
    assert part("report").hiding({"/": "!"})("/a") == "/a"
    outcome = part("report").Outcome("section", records=[{"kind": "note", "text": "a line\n/h\u00f6me/x"}])
    report = part("report").Report("title", "command", "begun", "commit", [outcome])
    report.save(tmp_path / "kept", {"/h\u00f6me": "~"})
    stored = json.loads((tmp_path / "kept.json").read_text())
    assert stored["outcomes"][0]["records"][0]["text"] == "a line\n~/x"
    assert "a line ~/x" in (tmp_path / "kept.md").read_text()


def test_a_user_without_a_home_folder(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(tool.Path, "home", none)
    assert tool.home() == {}


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (None, "H100-80GB"),
        ("1,0", "RTX-A2000"),
        ("GPU-bb", "RTX-A2000"),
        ("MIG-cc", "H100-80GB"),
        ("-1", "no-gpu"),
        ("", "no-gpu"),
    ],
)
def test_the_gpu_is_the_first_that_is_shown(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: str | None, name: str
) -> None:
    program(tmp_path / "nvidia-smi", 'print("0, GPU-aa11, NVIDIA H100 80GB\\n1, GPU-bb22, NVIDIA RTX A2000")')
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert tool.gpu_name(emulated=False) == name


def test_a_program_that_does_not_answer(part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = part("environment").answer
    assert answer([sys.executable, "-c", "print('version 1')"]) == "version 1"
    assert answer([str(tmp_path / "none")]).startswith("no version: it cannot be run")
    monkeypatch.setattr(part("environment"), "PATIENCE", 0.5)
    assert answer([sys.executable, "-c", "import time; time.sleep(60)"]).startswith("no version: it gave no answer")


def test_a_log_is_kept_within_reason(tool: Any, tmp_path: Path) -> None:
    check = tool.Check(tool.parsed(["--emulated", "--out", str(tmp_path)]), tmp_path / "scratch")
    log, outcome = tmp_path / "log", tool.Outcome("tests")
    log.write_text(f"first {ROOT}/core {'x' * 200_000} last")
    check.keep_log(outcome, log)
    (kept,) = tmp_path.glob("gpu_check-*-tests.log")
    text = kept.read_text()
    assert text.startswith("first core xx") and text.endswith("xx last\n") and len(text) < 70_000
    assert "characters are left out" in text and kept.name in outcome.records[0]["text"]
