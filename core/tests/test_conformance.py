"""The kit under pytest, as an author calls it: from an empty folder, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import plugrad
from plugrad.errors import ArgumentError
from plugrad.testing import Check, OpSample, checks, listing, values
from plugrad.testing.conformance.gaps import GapsError, check_gaps, gap_of, parse
from plugrad.testing.conformance.report import LONGEST, MOST, Outcome, Report
from plugrad.testing.kit.declared import with_samples

BACKEND = '''
"""A backend whose exp is twice what it should be."""
from plugrad import dispatch
from plugrad.reference.backend import NumpyBackend


class Off(NumpyBackend):
    name = "off"
    kernels = {**NumpyBackend.kernels, "exp": lambda x: NumpyBackend.kernels["exp"](x) * x.dtype.type(2)}


dispatch.add_backend(Off())
'''

LAYER = '''
"""A layer of its own, which is declared but not registered."""
import plugrad
from plugrad.testing import LayerSample, values
from plugrad.testing.kit.declared import with_samples


class Square(plugrad.Module):
    def forward(self, x):
        return x * x


DECLARED = with_samples([LayerSample("square", make=Square, inputs=(values(3),))])
DECLARED.__enter__()
'''


def kit(folder: Path, *options: str, modules: str = "") -> subprocess.CompletedProcess[str]:
    """A run of the kit; ``modules`` is the text of a pytest plugin that is loaded first."""
    (folder / "beside.py").write_text(modules)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PLUGRAD_", "PYTEST_"))}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), environment.get("PYTHONPATH", "")]))
    words = ["-q", "-p", "no:cacheprovider", "-p", "beside", "--pyargs", "plugrad.testing.conformance", *options]
    command = [sys.executable, "-m", "pytest", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_one_op_on_the_reference(tmp_path: Path) -> None:
    done = kit(tmp_path, "--op", "exp", "--report", "out.json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["device"] == "numpy" and report["plugrad"] == plugrad.__version__
    assert report["counts"] == {"passed": len(report["checks"])}
    names = [one["name"] for one in report["checks"]]
    assert names == [check.name for check in checks("numpy", op="exp")]
    assert {"values.exp.float32", "kernels.result_is_fresh", "op.exp.derivatives", "op.exp.second"} <= set(names)
    assert list(report["coverage"]) == ["exp"] and report["coverage"]["exp"]["f4"] == "native"
    assert re.search(r"numpy: conformance.*native .*\d+ checks: \d+ passed", done.stdout, re.DOTALL)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_wrong_kernel_is_named(tmp_path: Path) -> None:
    done = kit(tmp_path, "--backend", "off", "--op", "exp", "--quick", "--report", "out.json", modules=BACKEND)
    assert done.returncode == 1
    report = json.loads((tmp_path / "out.json").read_text())
    failed = {one["name"]: one["message"] for one in report["checks"] if one["outcome"] == "failed"}
    assert {"values.exp.float32", "values.exp.float64", "op.exp.gradients"} <= set(failed)
    assert failed["values.exp.float32"].startswith("exp((3, 4)) of float32 on off")
    assert "wrong:\n  values.exp.float32: exp((3, 4)) of float32 on off" in done.stdout
    assert re.search(r"^  values.exp.float32: .* \(also float64\)$", done.stdout, re.MULTILINE)
    assert not [word for word in ("check = Check(", "def compare(", "\nassert ") if word in done.stdout]
    assert kit(tmp_path, "--backend", "off", "--op", "log", "--quick", modules=BACKEND).returncode == 0


def test_known_gaps_must_fail_and_must_exist(tmp_path: Path) -> None:
    gaps = tmp_path / "gaps.txt"

    def run(text: str) -> subprocess.CompletedProcess[str]:
        gaps.write_text(text)
        return kit(tmp_path, "--backend", "off", "--op", "exp", "--known-gaps", "gaps.txt", modules=BACKEND)

    reason = ": the series is cut off too early\n"
    wrong = [check.name for check in checks("numpy", op="exp") if check.name.startswith("values.exp.")]
    done = run("# what is known\n" + "".join(name + reason for name in wrong))
    assert "known gaps:" in done.stdout and "values.exp.float32: known gap, gaps.txt:" in done.stdout
    assert "values.exp" not in done.stdout.partition("short test summary")[2]
    done = run("op.exp.pickling" + reason)
    assert done.returncode == 1 and "XPASS(strict)" in done.stdout, done.stdout
    said = "op.exp.pickling: passes, but is a known gap, gaps.txt:1: the series is cut off too early; take the line out"
    assert said in done.stdout
    done = run("values.expp.float32" + reason)
    assert done.returncode == 4, done.stdout
    assert "gaps.txt:1: no check is called 'values.expp.float32' (did you mean 'values.exp.float32'?)" in done.stderr
    done = run("values.exp.float32\n")
    assert done.returncode == 4 and "say why the check fails" in done.stderr


def test_a_quick_run_may_miss_a_known_gap(tmp_path: Path) -> None:
    """It leaves out calls, so that a gap that does not show there is no news."""
    (tmp_path / "gaps.txt").write_text("op.exp.derivatives: wrong at the fifth sample\n")
    words = ["--op", "exp", "--only", "op.exp.derivatives", "--known-gaps", "gaps.txt"]
    assert kit(tmp_path, *words, "--quick").returncode == 0
    assert kit(tmp_path, *words).returncode == 1


SINCE = """
from dataclasses import replace
from plugrad.testing import listing
from plugrad.testing.conformance import plugin

listing.API = {api}
plugin.checks = lambda *args, **how: [replace(check, since=(1, 1)) for check in listing.checks(*args, **how)]
"""


def test_a_failure_of_a_check_that_is_newer_than_the_plugin_is_a_note(tmp_path: Path) -> None:
    words = ["--backend", "off", "--op", "exp", "--only", "exp.float32", "--report", "out.json"]
    done = kit(tmp_path, *words, modules=BACKEND + SINCE.format(api=(1, 0)))
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads((tmp_path / "out.json").read_text())["checks"]
    assert found["outcome"] == "note"
    assert found["message"].startswith("note: this check is of protocol 1.1, the plugin of 1.0: exp((3, 4)) of float32")
    assert "notes:\n  values.exp.float32: note: this check is of protocol 1.1" in done.stdout
    assert "1 check: 1 note" in done.stdout
    done = kit(tmp_path, *words, modules=BACKEND + SINCE.format(api=(1, 1)))
    assert done.returncode == 1 and "wrong:\n  values.exp.float32: exp((3, 4))" in done.stdout
    done = kit(tmp_path, *words[2:], modules=SINCE.format(api=(1, 0)))
    assert done.returncode == 0 and "1 check: 1 passed" in done.stdout


def test_the_older_of_backend_and_op_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    def written(api: tuple[int, int], provider: str, *entries: tuple[str, str, str]) -> SimpleNamespace:
        made = [SimpleNamespace(provider=provider, word=word, kind=kind, name=name) for word, kind, name in entries]
        load = SimpleNamespace(load=lambda: SimpleNamespace(API=api))
        return SimpleNamespace(provider=provider, entry_point=load, provides=made)

    plugins = [
        written((1, 3), "core", ("backend", "", "numpy")),
        written((1, 1), "theirs", ("ops", "", "mine"), ("component", "layer", "thin")),
    ]
    monkeypatch.setattr(listing, "statuses", lambda: plugins)
    entries = [entry for plugin in plugins for entry in plugin.provides]
    monkeypatch.setattr(listing, "registry", lambda: SimpleNamespace(entries=entries))

    def version(kind: str, subject: str) -> tuple[int, int]:
        return listing.protocol_of(Check("a.b", kind, subject, "numpy", lambda: None))

    assert version("backend", "numpy") == version("op", "exp") == version("op", "minerals.cube") == (1, 3)
    assert version("op", "mine.cube") == version("layer", "thin") == (1, 1)
    assert version("loss", "thin") == (1, 3)


def test_a_collection_leaves_an_earlier_report(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("earlier")
    words = ["--op", "exp", "--only", "pickling", "--report", "out.json"]
    assert kit(tmp_path, *words, "--collect-only").returncode == 0
    assert (tmp_path / "out.json").read_text() == "earlier"


def test_without_the_plugin_the_test_says_so(tmp_path: Path) -> None:
    done = kit(tmp_path, "-p", "no:plugrad")
    assert done.returncode == 1 and "add '-p _plugrad_pytest'" in done.stdout


def test_wrong_calls(tmp_path: Path) -> None:
    for options, said in (
        (("--backend", "toaster"), "backend 'toaster' is unknown"),
        (("--op", "expp"), "no op 'expp' can be checked on numpy (did you mean 'exp'?)"),
        (("--layer", "nothing.like.it"), "no layer 'nothing.like.it' can be checked"),
        (("--known-gaps", "missing.txt"), "missing.txt: cannot be read"),
        (("--only", "no.such"), "has 'no.such' in its name"),
        (("--op", "exp", "--report", "nowhere/out.json"), "report nowhere/out.json: cannot be written"),
    ):
        done = kit(tmp_path, *options)
        assert done.returncode == 4 and said in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_project_keeps_its_own_options(tmp_path: Path) -> None:
    """The pytest plugin of an installed plugrad claims no option in runs that are not about it, and imports nothing."""
    (tmp_path / "conftest.py").write_text("def pytest_addoption(parser):\n    parser.addoption('--backend')\n")
    (tmp_path / "test_own.py").write_text(
        "import sys\n"
        "def test_own(request):\n"
        "    assert request.config.getoption('backend') == 'theirs'\n"
        "    assert '_plugrad_pytest' in sys.modules and 'plugrad' not in sys.modules\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--backend", "theirs"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_option_of_one_name_in_conftest(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("def pytest_addoption(parser):\n    parser.addoption('--backend')\n")
    done = kit(tmp_path, "--op", "exp", "--quick")
    assert done.returncode == 4 and "add --noconftest, or run the kit from another folder" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    done = kit(tmp_path, "--op", "exp", "--quick", "--noconftest")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_about_a_layer_says_nothing_of_ops(tmp_path: Path) -> None:
    done = kit(tmp_path, "--layer", "square", "--only", "pickling", modules=LAYER)
    assert done.returncode == 0 and "native" not in done.stdout, done.stdout
    assert re.search(r"numpy: conformance =+\n1 check: 1 passed\n", done.stdout), done.stdout


def test_the_summary_is_short() -> None:
    report = Report("numpy", False, set())
    for n in range(MOST + 5):
        for dtype in ("float32", "float64"):
            report.add(Outcome(f"values.x{n}.{dtype}", "backend", f"x{n}", dtype, "failed", 0.0, "w" * 999))
    first, *lines, rest, last = str(report).splitlines()
    assert first == "wrong:" and len(lines) == MOST and all(len(line) < LONGEST + 50 for line in lines)
    assert lines[0].startswith("  values.x0.float32: www") and lines[0].endswith("... (also float64)")
    assert rest.startswith("  ... 5 more lines") and last == f"{2 * (MOST + 5)} checks: {2 * (MOST + 5)} failed"


def test_names_are_unique_and_say_what_they_are_about() -> None:
    found = checks("numpy")
    assert len({check.name for check in found}) == len(found) > 1500
    for check in found:
        assert check.kind == "backend" or check.name.startswith(f"{check.kind}.{check.subject}."), check.name


def test_a_quick_run_is_a_part_of_the_full_one() -> None:
    quick, full = [{check.name for check in checks("numpy", quick=brief)} for brief in (True, False)]
    assert quick < full and len(quick) > len(full) / 3
    assert not [name for name in quick if name.endswith((".second", ".float16", ".int8"))]


def test_an_op_without_samples_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare(plugrad.Op):
        name = "bare.cube"
        dtypes = "float"

        def decompose(self, x: plugrad.Tensor) -> plugrad.Tensor:
            return x * x * x

        def spec(self, x: plugrad.Tensor) -> plugrad.Spec:
            return plugrad.Spec(x.shape, x.dtype)

    from plugrad.testing.contract import values as contract_values

    op = Bare()
    known = contract_values.asked()
    monkeypatch.setattr(listing, "asked", lambda: [*known, op])
    with pytest.raises(ArgumentError, match="no op 'bare.cubes' can be checked on numpy .did you mean 'bare.cube'"):
        checks("numpy", op="bare.cubes")
    (found,) = checks("numpy", op="bare.cube", only="sampled")
    with pytest.raises(AssertionError, match=r"'bare.cube' is registered, but no sample .*OpSample\('bare.cube', "):
        found()
    with with_samples([OpSample("bare.cube", (values(3),))]):
        assert "op.bare.cube.sampled" not in [check.name for check in checks("numpy")]


@pytest.mark.parametrize("kind", ["layer", "loss", "optimizer", "dataset"])
def test_a_component_without_samples_fails(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = listing.registry()

    class Registry:
        entries = real.entries

        def select(self, word: str, of: str = "") -> dict[str, Any]:
            found = dict(real.select(word, of))
            return {**found, "bare": None} if (word, of) == ("component", kind) else found

    monkeypatch.setattr(listing, "registry", Registry)
    (found,) = [check for check in checks("numpy", only=".bare.")]
    assert found.name == f"{kind}.bare.sampled"
    with pytest.raises(AssertionError, match=r"'bare' is registered, but no sample .*Sample\('bare', "):
        found()


def test_gaps_in_patterns() -> None:
    gaps = parse("values.*.float16: rounds twice\n\n# a remark\nop.exp.second: unknown\n", "g")
    assert [gap.where for gap in gaps] == ["g:1", "g:4"]
    assert gap_of("values.exp.float16", gaps) == gaps[0] and gap_of("values.exp.float32", gaps) is None
    check_gaps(gaps, ["values.exp.float16", "op.exp.second"])
    with pytest.raises(GapsError, match="g:4: no check is called 'op.exp.second'"):
        check_gaps(gaps, ["values.exp.float16"])
