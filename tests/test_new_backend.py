"""What ``plugrad new backend`` writes: clean by its own lint and types, and green; a fault in it is found.

tools/new_backend does the same from wheels, outside the repository.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from plugrad.testing.scaffold import KINDS, plan
from plugrad.testing.scaffold.names import OWN

ROOT = Path(__file__).resolve().parents[1]
LONG = "abcdefghijklmnopqrstuvwx", "abcdefghij-abcdefghij-abcdefghij-abcdefg"
"""A name and a distribution of the greatest length that is allowed."""


def generate(folder: Path, name: str = "mine", distribution: str = "") -> Path:
    plan(KINDS["backend"], name, folder, distribution=distribution).write()
    return folder


def run(folder: Path, *words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a module of this environment in a project, without settings from outside."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PLUGRAD_")}
    env |= {"PYTHONPATH": os.pathsep.join(filter(None, [str(path or ""), env.get("PYTHONPATH", "")]))}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


def describe(folder: Path) -> None:
    """Put the metadata of a project beside its sources: they are as good as installed where they are on the path."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / "src" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = "".join(f"{name} = {target}\n" for name, target in project["entry-points"]["plugrad"].items())
    (info / "entry_points.txt").write_text(f"[plugrad]\n{points}")


def pytest_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a project's tests as if it were installed."""
    describe(folder)
    return run(folder, "pytest", "-q", "-p", "no:cacheprovider", *words, path=folder / "src")


@pytest.mark.parametrize(("name", "distribution"), [("x", ""), ("my-chip", "chips"), LONG])
def test_lint_and_format_hold_for_names_of_any_length(name: str, distribution: str, tmp_path: Path) -> None:
    folder = generate(tmp_path / "project", name, distribution)
    for words in (("check", "."), ("format", "--check", ".")):
        done = run(folder, "ruff", *words, "--no-cache")
        assert done.returncode == 0, done.stdout + done.stderr


def test_types_are_strict(tmp_path: Path) -> None:
    folder = generate(tmp_path / "project")
    done = run(folder, "mypy")
    assert re.fullmatch(r"Success: no issues found in 13 source files\n", done.stdout), done.stdout + done.stderr


def test_types_find_what_has_to_change_with_another_array(tmp_path: Path) -> None:
    """The README says so."""
    folder = generate(tmp_path / "project")
    replace(folder / "src/plugrad_mine/array.py", "\nArray: TypeAlias = npt.NDArray[Any]", "\nArray: TypeAlias = bytes")
    found = run(folder, "mypy").stdout
    assert {"backend.py", "elementwise.py", "reduction.py", "movement.py", "contraction.py"} <= set(
        re.findall(r"(\w+\.py):\d+: error", found)
    )


def test_its_tests_pass(tmp_path: Path) -> None:
    done = pytest_in(generate(tmp_path / "project", "my-chip"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d{3,} passed in ", done.stdout.splitlines()[-1]), "none may be skipped"


def test_the_examples_of_its_readme_run(tmp_path: Path) -> None:
    folder = generate(tmp_path / "project")
    describe(folder)
    text = (folder / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    blocks += re.findall(r'^python -c "(.*)"$', text, re.MULTILINE)
    (folder / "readme.py").write_text("\n".join(blocks), encoding="utf-8")
    done = run(folder, "readme", path=folder / "src")
    assert len(blocks) == 3 and done.returncode == 0, done.stderr
    assert done.stdout.startswith("Tensor([2., 4., 6.]") and "first evening\n  add\n  mul\n" in done.stdout


CONTRACT = "test_backend.py::test_contract"
FAULTS = {
    f"{CONTRACT}[values.neg]": ("kernels/elementwise.py", "np.negative", "np.positive"),
    f"{CONTRACT}[kernels.result_is_as_promised]": ("kernels/reduction.py", "keepdims, dtype=x.dtype", "keepdims"),
    f"{CONTRACT}[kernels.operands_are_not_written]": ("kernels/contraction.py", "return", "x += x\n    return"),
    f"{CONTRACT}[host.from_host_copies]": ("backend.py", 'np.array(array, order="C")', "np.asarray(array)"),
    f"{CONTRACT}[host.to_host_is_not_written]": ("backend.py", "writeable = False", "writeable = True"),
    "test_backend.py::test_no_kernel_is_lost": ("kernels/contraction.py", '{"matmul": _matmul}', "{}"),
    "test_backend.py::test_no_kernel_is_misspelt": ("kernels/reduction.py", "_max}", '_max, "summ": _sum}'),
    "test_backend.py::test_a_dense_net_learns": ("kernels/movement.py", "np.transpose(x, axes)", "x"),
    "test_plugin.py::test_registering_imports_no_kernel": ("plugin.py", "\nAPI", "\nfrom . import backend\n\nAPI"),
    "test_plugin.py::test_the_plugin_is_in_order": ("plugin.py", "API = (1, 0)", "API = (2, 0)"),
}
"""A test of the project, and what is changed so that it must fail: file, text, other text."""


@pytest.mark.parametrize("test", FAULTS)
def test_a_fault_is_found_by(test: str, tmp_path: Path) -> None:
    folder = generate(tmp_path / "project")
    file, old, new = FAULTS[test]
    replace(folder / "src/plugrad_mine" / file, old, new)
    done = pytest_in(folder, f"tests/{test}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.match(r"1 (failed|error) in ", done.stdout.splitlines()[-1]), done.stdout


def test_a_device_that_is_absent_skips_with_its_reason(tmp_path: Path) -> None:
    folder = generate(tmp_path / "project")
    replace(folder / "src/plugrad_mine/probe.py", "return True", 'return "no chip is plugged in"')
    done = pytest_in(folder, "-rs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mine is unavailable: no chip is plugged in" in done.stdout


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_projects_distributions_are_reserved() -> None:
    """So that nobody is led to publish another plugrad-cpu."""
    folders = [path.parent for pattern in ("plugins/*", "plugins_*") for path in ROOT.glob(f"{pattern}/pyproject.toml")]
    published = {tomllib.loads((path / "pyproject.toml").read_text())["project"]["name"] for path in folders}
    assert {f"plugrad-{name}" for name in OWN} == published
