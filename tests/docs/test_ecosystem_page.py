"""The page on other libraries says what tests/ecosystem counts."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "concepts" / "ecosystem.md").read_text(encoding="utf-8")


def counted(name: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """How many calls a test file expects, and those that fail."""
    tree = ast.parse((ROOT / "tests" / "ecosystem" / f"test_{name}.py").read_text(encoding="utf-8"))
    (misses,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "MISSES"]
    (number,) = re.findall(r"len\(CALLS\) == (\d+)", ast.unparse(tree))
    return int(number), ast.literal_eval(misses)


@pytest.mark.parametrize(("name", "library"), [("sklearn", "scikit-learn"), ("scipy", "SciPy")])
def test_counts_and_misses(name: str, library: str) -> None:
    calls, misses = counted(name)
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {library} ")]
    _, _, tried, passed, failed, _ = [cell.strip() for cell in row.split("|")]
    assert tried.startswith(f"{calls} calls") and passed == str(calls - len(misses))
    assert failed.replace("`", "").split(", ") == list(misses)
    for call, (_, reason) in misses.items():
        (why,) = [line.split("|")[2] for line in PAGE.splitlines() if line.startswith(f"| `{call}` |")]
        assert why.replace("`", "").strip().startswith(reason), call


def test_the_functions_of_array_api_extra() -> None:
    tree = ast.parse((ROOT / "tests" / "ecosystem" / "test_array_api_extra.py").read_text(encoding="utf-8"))
    (calls,) = [n.value for n in tree.body if isinstance(n, ast.AnnAssign) and isinstance(n.value, ast.Dict)]
    assert f"| {len(calls.keys)} calls | {len(calls.keys)} |" in PAGE
