"""Rules that hold for the files of the repository, whatever they compute."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = ("core", "plugins/*", "plugins_*")
FOLDERS = sorted(path.parent for pattern in PATTERNS for path in ROOT.glob(f"{pattern}/pyproject.toml"))
CORE = ROOT / "core" / "src" / "plugrad"
TEXT = {".py", ".pyx", ".pxd", ".h", ".c", ".cu", ".cuh", ".md", ".toml", ".cfg", ".json", ".txt", ".svg", ""}

IMPORTS_ALLOWED_INSIDE_FUNCTIONS: dict[str, set[str]] = {"hot.py": {"._slots"}}
"""File of the core, relative to its package, and the modules its functions may import: only to start quickly, or where
there may be none."""


def files(*suffixes: str) -> list[Path]:
    """The repository's own text files with these suffixes; generated and ignored ones left out."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    wanted = set(suffixes) or TEXT
    return sorted({ROOT / name for name in names if name and Path(name).suffix in wanted and (ROOT / name).is_file()})


def matches(pattern: str, paths: list[Path]) -> list[str]:
    """Where a pattern occurs, as ``file:line: text``; this file is left out, since it holds the patterns."""
    found = []
    for path in paths:
        if path == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(pattern, line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    return found


def project(folder: Path) -> dict[str, Any]:
    """The pyproject.toml of a distribution."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_files_are_found() -> None:
    assert len(FOLDERS) == 8
    assert ROOT / "Makefile" in files() and Path(__file__).resolve() in files(".py")


def test_no_paths_of_a_machine() -> None:
    assert matches(r"(?<![\w.])/(work|tmp|root|home)/", files()) == []


def test_nothing_left_to_do() -> None:
    assert matches(r"\b(TODO|FIXME|XXX|HACK)\b", files()) == []


def test_gpu_code_is_in_files_of_its_own() -> None:
    """Except for the small kernels, most of them wrong on purpose, that the tests of the emulated driver run."""
    sources = [path for path in files(".py", ".pyx", ".pxd") if not path.name.startswith("test_emulator_")]
    assert matches("__global__ ", sources) == []


def test_no_stray_whitespace_or_conflict() -> None:
    suffixes = (".py", ".pyx", ".pxd", ".h", ".c", ".cu", ".cuh", ".toml", ".cfg", ".md")
    assert matches(r"[ \t]$|^(<{7}|>{7})( |$)", files(*suffixes)) == []


def test_test_folders_are_no_packages() -> None:
    """Except for the emulated driver, which is imported whole."""
    emulator = ROOT / "plugins_cuda" / "tests" / "emu"
    packages = [path for path in files(".py") if path.name == "__init__.py" and path.parent != emulator]
    assert [path for path in packages if "tests" in path.relative_to(ROOT).parts] == []


def test_every_folder_of_python_files_is_a_package() -> None:
    for folder in FOLDERS:
        parents = {path.parent for path in (folder / "src").rglob("*.py")} - {folder / "src"}  # modules by themselves
        missing = {parent for parent in parents if not (parent / "__init__.py").exists()}
        assert missing == set(), "setuptools would leave these out of the wheel"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_distribution_metadata(folder: Path) -> None:
    data = project(folder)
    table = data["project"]
    package = table["name"].replace("-", "_")
    assert table["license"] == "Apache-2.0" and table["requires-python"] == ">=3.11"
    assert re.fullmatch(r"\d+\.\d+\.\d+", table["version"])
    assert (folder / table["readme"]).exists()
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (folder / "src" / package / "py.typed").exists()
    assert "py.typed" in data["tool"]["setuptools"]["package-data"][package]
    assert any(item.startswith("setuptools>=77") for item in data["build-system"]["requires"])
    assert any(item.startswith("pytest") for item in table["optional-dependencies"]["testing"]), "tools/wheels_alone"


@pytest.mark.parametrize("folder", FOLDERS[1:], ids=lambda folder: folder.name)
def test_entry_points_name_light_modules(folder: Path) -> None:
    points = project(folder)["project"]["entry-points"]["plugrad"]
    assert points
    for target in points.values():
        assert (folder / "src" / Path(*target.split("."))).with_suffix(".py").exists(), f"{target} does not exist"


@pytest.mark.parametrize("folder", FOLDERS[1:], ids=lambda folder: folder.name)
def test_plugins_bound_the_core_and_declare_no_other_plugin(folder: Path) -> None:
    table = project(folder)["project"]
    extras = {name: items for name, items in table["optional-dependencies"].items() if name != "demo"}
    declared = [*table["dependencies"], *itertools.chain(*extras.values())]
    own = [item for item in declared if item.startswith("plugrad")]
    assert "plugrad>=0.1,<1" in own
    others = [item for item in own if not item.startswith((f"{table['name']}[", "plugrad>", "plugrad["))]
    assert others == []


def imports_inside_functions(path: Path) -> Iterator[tuple[int, str]]:
    """The line and module of every import that is not at the top of a file."""
    for outer in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(outer):
                if isinstance(node, ast.ImportFrom):
                    yield node.lineno, "." * node.level + (node.module or "")
                elif isinstance(node, ast.Import):
                    yield from ((node.lineno, alias.name) for alias in node.names)


def test_core_imports_at_the_top_of_its_files() -> None:
    found = []
    for path in CORE.rglob("*.py"):
        name = path.relative_to(CORE).as_posix()
        allowed = IMPORTS_ALLOWED_INSIDE_FUNCTIONS.get(name, set())
        inside = sorted(set(imports_inside_functions(path)))
        found += [f"{name}:{line}: {module}" for line, module in inside if module not in allowed]
    assert found == [], "a floor is wrong, or the import belongs at the top"
