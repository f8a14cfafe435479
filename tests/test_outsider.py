"""examples/backend_jax stays small, and is built of the steps' kernels; tools/outsider installs and runs it."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from plugrad.testing import FIRST_EVENING, TRAINS_A_NET, kernels_up_to

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "backend_jax"
SOURCE = FOLDER / "src" / "backend_jax"


def lines(*names: str) -> int:
    """Lines that are not blank: docstrings, comments and imports count."""
    return sum(
        bool(line.strip()) for name in names for line in (SOURCE / name).read_text(encoding="utf-8").splitlines()
    )


def kernels(name: str) -> list[str]:
    """The op names in the table of a file, those of another table left out."""
    for node in ast.walk(ast.parse((SOURCE / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "kernels":
            assert isinstance(node.value, ast.Dict)
            return [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
    raise AssertionError(f"{name} has no table of kernels")


def test_the_first_form_is_a_dozen_kernels_in_fifty_lines() -> None:
    assert len(kernels("first.py")) <= 12 and lines("first.py") <= 50
    assert set(kernels("first.py")) == set(FIRST_EVENING.adds)


def test_the_second_form_is_twenty_five_kernels_in_a_hundred_lines() -> None:
    assert len(kernels("first.py") + kernels("second.py")) <= 25
    assert lines("first.py", "second.py", "plugin.py", "__init__.py") <= 100, "with registration and all"
    assert set(kernels("first.py") + kernels("second.py")) == set(kernels_up_to(TRAINS_A_NET))


def test_it_is_an_ordinary_distribution_that_needs_plugrad_and_jax() -> None:
    table = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert table["name"] == "plugrad-jax-example" and (FOLDER / table["readme"]).exists()
    assert [item.partition(">")[0] for item in table["dependencies"]] == ["plugrad", "jax"]
    assert "plugrad>=0.1,<1" in table["dependencies"]
    assert table["entry-points"]["plugrad"] == {"jax_example": "backend_jax.plugin"}


def test_it_imports_only_the_protocol() -> None:
    imported = set()
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module)
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
    ours = {name for name in imported if name and name.startswith("plugrad")}
    assert ours == {"plugrad.backend", "plugrad.plugins"}
