"""The developer scripts count and judge what they say."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A developer script as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    loader = SourceFileLoader(f"tools_{name}", str(ROOT / "tools" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec.loader.exec_module(module)
    return module


PYTHON = '''"""A docstring
of two lines."""

# a comment
VALUE = """text

that counts"""


def f(x):  # a comment after code
    """Another docstring."""
    return (
        x
    )
'''
CYTHON = '"""What it is."""\n# comment\ncdef int f(int x) noexcept nogil:\n    """Doc\n    more."""\n\n    return x\n'
C = "/* a\n   comment */\n#include <math.h>\n\n// another\nint f(int x) { return x; } /* after code */\n"


def test_lines_of_code(monkeypatch: pytest.MonkeyPatch) -> None:
    loc = script("loc", monkeypatch)
    assert loc.python_code(PYTHON) == 6
    assert loc.cython_code(CYTHON) == 2
    assert loc.c_code(C) == 2


def test_an_outgrown_core_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    loc = script("loc", monkeypatch)
    monkeypatch.setattr(loc, "CORE_BUDGET", 10)
    assert loc.main() == 1
    assert "the core has" in capsys.readouterr().err


def test_an_outgrown_file_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    loc = script("loc", monkeypatch)
    monkeypatch.setattr(loc, "FILE_CAP", 60)
    assert loc.main() == 1
    assert "tests/tools/test_tools.py has" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "name", "allowed"),
    [
        ("plugrad_cpu", "plugrad.backend.Kernel", True),
        ("plugrad_cpu", "plugrad.hookimpl", True),
        ("plugrad_cpu", "plugrad.Tensor", False),
        ("plugrad_cpu", "plugrad", False),
        ("plugrad_cpu", "plugrad_cuda.probe", False),
        ("plugrad_nn", "plugrad.Tensor", True),
        ("plugrad_nn", "plugrad.tape.Node", False),
        ("plugrad_nn", "plugrad.testing", False),
        ("plugrad_nn", "plugrad_cpu", False),
        ("plugrad_nn", "numpy", True),
        ("plugrad", "plugrad_nn", False),
    ],
)
def test_who_may_import_what(monkeypatch: pytest.MonkeyPatch, package: str, name: str, allowed: bool) -> None:
    imports = script("imports", monkeypatch)
    projects = {"plugrad", "plugrad_nn", "plugrad_cpu", "plugrad_cuda"}
    assert (imports.objection(package, name, projects) is None) == allowed


def test_only_samples_import_the_kit(monkeypatch: pytest.MonkeyPatch) -> None:
    imports = script("imports", monkeypatch)
    nn = next(item for item in imports.distributions() if item.package == "plugrad_nn")
    assert list(imports.violations(nn, {"plugrad", "plugrad_nn", "plugrad_cpu"})) == []
    assert imports.objection("plugrad_nn", "plugrad.testing.values", {"plugrad"}, samples=True) is None
    assert imports.objection("plugrad_nn", "plugrad.tape.Node", {"plugrad"}, samples=True) is not None
    monkeypatch.setattr(imports, "SAMPLES", set())
    found = list(imports.violations(nn, {"plugrad", "plugrad_nn", "plugrad_cpu"}))
    assert found and all("/samples/" in line and "plugrad.testing" in line for line in found)


def test_cimports_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    imports = script("imports", monkeypatch)
    text = "from libc.math cimport exp, log\nfrom plugrad.tensor cimport (\n    A,\n    B)\n"
    text += "from .view cimport View\ncimport plugrad.tape as t\n"
    names = [name for _, name in imports.cython_imports(text)]
    assert names == ["libc.math.exp", "libc.math.log", "plugrad.tensor.A", "plugrad.tensor.B", "plugrad.tape"]


def test_scripts_answer_for_help() -> None:
    for name in ("check", "bench", "import_time"):
        command = [sys.executable, str(ROOT / "tools" / name), "--help"]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
