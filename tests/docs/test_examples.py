"""The Python examples on the pages run, each page as one program, warnings being errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = [path for path in sorted((ROOT / "docs").rglob("*.md")) if not {"_build", "generated"} & set(path.parts)]


def program(page: Path) -> str:
    """The blocks marked ``python``, at the line numbers they have on the page."""
    lines, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else "")
        if fence:
            inside = line.strip() == "```python"
    return "\n".join(lines) + "\n"


MARKDOWN = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("*/README.md")), *DOCS]
PAGES = [page for page in MARKDOWN if program(page).strip()]


def execute(text: str, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter and an empty folder, without settings from outside."""
    script = folder / "page.py"
    script.write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLUGRAD_")}
    command = [sys.executable, *flags, str(script)]
    options = {"capture_output": True, "text": True, "timeout": 120, "check": False}
    return subprocess.run(command, cwd=folder, env=environment, **options)


def test_pages_with_examples_are_found() -> None:
    names = {page.relative_to(ROOT).as_posix() for page in PAGES}
    assert {"README.md", "docs/plugin_author.md", "docs/concepts/derivatives.md"} <= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples_run(page: Path, tmp_path: Path) -> None:
    done = execute(program(page), tmp_path, "-W", "error")
    assert done.returncode == 0, done.stderr


def test_the_first_example_learns(tmp_path: Path) -> None:
    done = execute(program(ROOT / "README.md") + "\nassert accuracy.item() > 0.95\n", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("loss ")


def test_the_first_example_is_short() -> None:
    assert sum(1 for line in program(ROOT / "README.md").splitlines() if line.strip()) <= 20


def test_the_backend_of_the_page_keeps_the_contract(tmp_path: Path) -> None:
    check = """
from plugrad import dispatch
from plugrad.testing import check_backend

if "mine" not in [backend.name for backend in dispatch.BACKENDS]:
    dispatch.add_backend(Mine())
check_backend("mine")
"""
    done = execute(program(ROOT / "docs" / "plugin_author.md") + check, tmp_path)
    assert done.returncode == 0, done.stderr
