"""What ``plugrad new`` writes, kind by kind: clean by its own lint and types, and green; a fault in it is found.

tools/new does the same from wheels, outside the repository.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from plugrad.plugins import available_backends
from plugrad.testing.scaffold import KINDS, plan
from plugrad.testing.scaffold.names import OWN

ROOT = Path(__file__).resolve().parents[1]
LONG = "abcdefghijklmnopqrstuvwx", "abcdefghij-abcdefghij-abcdefghij-abcdefg"
"""A name and a distribution of the greatest length that is allowed."""
DEVICES = [name for name in ("cpu",) if name in available_backends()]
"""Backends on which what is generated is tested, beside the reference."""


def generate(folder: Path, kind: str = "backend", name: str = "mine", distribution: str = "") -> Path:
    plan(KINDS[kind], name, folder, distribution=distribution).write()
    return folder


def run(folder: Path, *words: str, path: Path | None = None, plugins: str = "") -> subprocess.CompletedProcess[str]:
    """Run a module of this environment in a project, with these plugins, or all, and no settings from outside."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PLUGRAD_")}
    env |= {"PYTHONPATH": os.pathsep.join(filter(None, [str(path or ""), env.get("PYTHONPATH", "")]))}
    env |= {"PLUGRAD_PLUGINS": plugins}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


def describe(folder: Path) -> str:
    """Put the metadata of a project beside its sources: they are as good as installed where they are on the path. The
    name of its plugin.
    """
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / "src" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    ((name, target),) = project["entry-points"]["plugrad"].items()
    (info / "entry_points.txt").write_text(f"[plugrad]\n{name} = {target}\n")
    return str(name)


def pytest_in(folder: Path, *words: str, devices: list[str] = DEVICES) -> subprocess.CompletedProcess[str]:
    """Run a project's tests as if it were installed, beside these backends and no other plugin."""
    plugins = ",".join([describe(folder), *devices])
    return run(folder, "pytest", "-q", "-p", "no:cacheprovider", *words, path=folder / "src", plugins=plugins)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What mypy remembers of plugrad and NumPy from one project to the next."""
    return f"--cache-dir={tmp_path_factory.mktemp('mypy')}"


@pytest.mark.parametrize("kind", KINDS)
def test_lint_and_format_hold_for_names_of_any_length(kind: str, tmp_path: Path) -> None:
    for name, distribution in (("x", ""), ("my-chip", "chips"), LONG):
        generate(tmp_path / name, kind, name, distribution)
    for words in (("check", "."), ("format", "--check", ".")):
        done = run(tmp_path, "ruff", *words, "--no-cache")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_the_contract_as_far_as_that_can_be_read(kind: str, tmp_path: Path) -> None:
    done = run(generate(tmp_path / "project", kind), "plugrad", "lint", ".")
    assert (done.returncode, done.stdout) == (0, "no findings\n"), done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_types_are_strict(kind: str, tmp_path: Path, cache: str) -> None:
    folder = generate(tmp_path / "project", kind)
    done = run(folder, "mypy", cache)
    files = len(list(folder.rglob("*.py")))
    assert done.stdout == f"Success: no issues found in {files} source files\n", done.stdout + done.stderr


def test_types_find_what_has_to_change_with_another_array(tmp_path: Path, cache: str) -> None:
    """The README says so."""
    folder = generate(tmp_path / "project")
    replace(folder / "src/plugrad_mine/array.py", "\nArray: TypeAlias = npt.NDArray[Any]", "\nArray: TypeAlias = bytes")
    found = run(folder, "mypy", cache).stdout
    assert {"backend.py", "elementwise.py", "reduction.py", "movement.py", "contraction.py"} <= set(
        re.findall(r"(\w+\.py):\d+: error", found)
    )


FEWEST = {"backend": 1000, "op": 25, "layer": 20, "optimizer": 20, "dataset": 12, "command": 7}
"""How many tests there are at least."""


@pytest.mark.parametrize("kind", KINDS)
def test_its_tests_pass(kind: str, tmp_path: Path) -> None:
    folder = generate(tmp_path / "project", kind, "my-chip")
    done = pytest_in(folder, "tests", "src", "--doctest-modules", devices=[] if kind == "backend" else DEVICES)
    assert done.returncode == 0, done.stdout + done.stderr
    skips = r"(?:, \d skipped)?" if kind == "backend" else ""  # what other plugins or dtypes would be needed for
    closing = re.match(rf"(\d+) passed{skips} in ", done.stdout.splitlines()[-1])
    assert closing is not None, "none may be skipped"
    assert int(closing[1]) >= FEWEST[kind] + len(DEVICES) * 15 * (KINDS[kind].label in ("ops", "layer", "optimizer"))


PRINTED = {
    "backend": r"Tensor\(\[2\., 4\., 6\.\](.|\n)*first evening\n  add\n  mul\n",
    "op": r"Tensor\(\[\[0\.848\d*, 1\.131\d*\]\](.|\n)*Tensor\(\[0\.848\d*, 1\.131\d*\]",
    "layer": r"\(4, 2\)\n",
    "optimizer": r"True\n",
    "dataset": r"200 \(3, 2\) \[0 1 0\]\n",
}
"""What the examples of a README print, if it has any."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_says_how_to_go_on_and_its_examples_run(kind: str, tmp_path: Path) -> None:
    folder = generate(tmp_path / "project", kind)
    describe(folder)
    text = (folder / "README.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ .*$", text, re.MULTILINE)
    assert headings == ["# plugrad-mine", "## Begin", "## Replace the parts", "## Go on", "## Choose a licence"]
    assert "\n\n\n" not in text and "plugrad lint .\n" in text
    listed = re.findall(r"^\| `(\w+\.py|\w+/)` \|", text, re.MULTILINE)
    sources = {path.name for path in (folder / "src/plugrad_mine").glob("*.py")} - {"__init__.py"}
    assert {name for name in listed if name.endswith(".py")} == sources
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    blocks += re.findall(r'^python -c "(.*)"$', text, re.MULTILINE)
    (folder / "readme.py").write_text("\n".join(blocks), encoding="utf-8")
    done = run(folder, "readme", path=folder / "src")
    assert done.returncode == 0, done.stderr
    assert re.match(PRINTED.get(kind, "$"), done.stdout), done.stdout


@pytest.mark.parametrize("kind", ["backend", "op", "layer", "optimizer", "dataset"])
def test_the_command_of_its_readme_checks_it(kind: str, tmp_path: Path) -> None:
    folder = generate(tmp_path / "project", kind)
    plugin = describe(folder)
    (line,) = re.findall(r"^python -m (pytest --pyargs .*)$", (folder / "README.md").read_text(), re.MULTILINE)
    words = [*line.split(), "--quick", "-q", "-p", "no:cacheprovider"]
    words += ["--only", "values.exp"] if kind == "backend" else []
    done = run(folder, *words, path=folder / "src", plugins=plugin)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[1-9]\d* checks: [1-9]\d* passed$", done.stdout, re.MULTILINE), done.stdout


BACKEND = "test_backend.py::test_conformance"
OTHERS = "test_conformance.py::test_conformance"
PLUGIN = "test_plugin.py::test_the_plugin_is_in_order"
LIGHT = "test_plugin.py::test_registering_imports_nothing_else"
FAULTS = [
    ("backend", f"{BACKEND}[values.neg.float32]", "kernels/elementwise.py", "np.negative", "np.positive"),
    ("backend", f"{BACKEND}[kernels.result_is_as_promised]", "kernels/reduction.py", "s, dtype=x.dtype", "s"),
    (
        "backend",
        f"{BACKEND}[kernels.operands_are_not_written]",
        "kernels/contraction.py",
        "return",
        "x += x\n    return",
    ),
    ("backend", f"{BACKEND}[host.from_host_copies]", "backend.py", 'np.array(array, order="C")', "np.asarray(array)"),
    ("backend", f"{BACKEND}[host.to_host_is_not_written]", "backend.py", "writeable = False", "writeable = True"),
    ("backend", "test_backend.py::test_no_kernel_is_lost", "kernels/contraction.py", '{"matmul": _matmul}', "{}"),
    ("backend", "test_backend.py::test_a_dense_net_learns", "kernels/movement.py", "np.transpose(x, axes)", "x"),
    ("backend", LIGHT, "plugin.py", "\nAPI", "\nfrom . import backend\n\nAPI"),
    ("backend", PLUGIN, "plugin.py", "API = (1, 0)", "API = (2, 0)"),
    ("op", f"{OTHERS}[numpy-op.mine.rms_norm.derivatives]", "ops.py", "dx = (u - h", "dx = (u + h"),
    ("op", f"{OTHERS}[numpy-op.mine.rms_norm.errors]", "ops.py", "if not eps > 0.0", "if eps != eps"),
    ("op", "test_ops.py::test_an_error_says_what_to_do", "ops.py", "of its last one", "of another"),
    ("op", LIGHT, "plugin.py", "\nAPI", "\nfrom . import ops\n\nAPI"),
    ("layer", f"{OTHERS}[numpy-layer.mine.reference]", "samples.py", "np.exp(-(", "np.exp(+("),
    ("layer", f"{OTHERS}[numpy-layer.mine.every_parameter_is_used]", "layer.py", " + self.bias)", ")"),
    ("optimizer", f"{OTHERS}[numpy-optimizer.mine.reference]", "optim.py", "p - rate", "p + rate"),
    ("optimizer", "test_optim.py::test_errors_say_what_to_do", "optim.py", "<= decay < 1.0", "<= decay <= 1.0"),
    ("optimizer", LIGHT, "plugin.py", "\nAPI", "\nimport plugrad_optim\n\nAPI"),
    (
        "dataset",
        f"{OTHERS}[dataset.mine.independent]",
        "dataset.py",
        "array(self.points[index])",
        "asarray(self.points[index])",
    ),
    (
        "dataset",
        f"{OTHERS}[dataset.mine.indexing]",
        "dataset.py",
        "isinstance(index, bool | np.bool_)",
        "index is None",
    ),
    (
        "command",
        "test_command.py::test_a_wrong_call_is_told_apart_from_a_failure",
        "command.py",
        "size < 1",
        "size < 0",
    ),
]
"""A kind, a test of the project, and what is changed so that it must fail: file, text, other text."""


@pytest.mark.parametrize(("kind", "test", "file", "old", "new"), FAULTS, ids=[f"{one[0]}-{one[1]}" for one in FAULTS])
def test_a_fault_is_found_by(kind: str, test: str, file: str, old: str, new: str, tmp_path: Path) -> None:
    folder = generate(tmp_path / "project", kind)
    replace(folder / "src/plugrad_mine" / file, old, new)
    done = pytest_in(folder, f"tests/{test}", devices=[])
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.match(r"1 (failed|error) in ", done.stdout.splitlines()[-1]), done.stdout


def test_a_kernel_under_a_name_that_no_op_has_is_told_at_once(tmp_path: Path) -> None:
    folder = generate(tmp_path / "project")
    replace(folder / "src/plugrad_mine/kernels/reduction.py", "_max}", '_max, "summ": _sum}')
    done = pytest_in(folder, devices=[])
    assert done.returncode == 2 and "the core has no ops summ" in done.stdout, done.stdout + done.stderr


def test_a_device_that_is_absent_skips_with_its_reason(tmp_path: Path) -> None:
    folder = generate(tmp_path / "project")
    replace(folder / "src/plugrad_mine/probe.py", "return True", 'return "no chip is plugged in"')
    done = pytest_in(folder, "-rs", devices=[])
    assert done.returncode == 0, done.stdout + done.stderr
    skipped = re.findall(r"^SKIPPED .*: mine is unavailable: no chip is plugged in$", done.stdout, re.MULTILINE)
    assert len(skipped) == 2 and re.match("3 passed, 2 skipped in ", done.stdout.splitlines()[-1]), done.stdout


def test_the_projects_distributions_are_reserved() -> None:
    """So that nobody is led to publish another plugrad-cpu."""
    folders = [path.parent for pattern in ("plugins/*", "plugins_*") for path in ROOT.glob(f"{pattern}/pyproject.toml")]
    published = {tomllib.loads((path / "pyproject.toml").read_text())["project"]["name"] for path in folders}
    assert {f"plugrad-{name}" for name in OWN} == published
