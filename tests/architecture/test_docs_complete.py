"""Everything that users can name is in the documentation: public names, hooks, commands, environment variables."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import plugrad
from plugrad.plugins import hookspecs

ROOT = Path(__file__).resolve().parents[2]
PAGES = [path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts and "generated" not in path.parts]
TEXT = {path: path.read_text(encoding="utf-8") for path in [*PAGES, ROOT / "README.md"]}
WORDS = set(re.findall(r"[A-Za-z_]\w*", "\n".join(TEXT.values())))
PACKAGES = ["plugrad_nn", "plugrad_norm", "plugrad_optim", "plugrad_data", "plugrad_train"]


def reference(name: str) -> set[str]:
    """The words on a page of the reference."""
    return set(re.findall(r"[A-Za-z_]\w*", (ROOT / "docs" / "api" / f"{name}.md").read_text(encoding="utf-8")))


def test_public_names_of_the_core_are_in_the_reference() -> None:
    assert sorted(set(plugrad.__all__) - reference("plugrad")) == []


def test_the_reference_names_nothing_that_is_not_there() -> None:
    text = (ROOT / "docs" / "api" / "plugrad.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. auto\w+:: ([\w.]+)$", text, re.MULTILINE)
    assert listed
    absent = []
    for name in listed:
        owner: object = plugrad
        for part in name.removeprefix("plugrad.").split("."):
            owner = getattr(owner, part, None)
        absent += [name] if owner is None else []
    assert absent == []


@pytest.mark.parametrize("package", PACKAGES)
def test_plugin_packages_say_what_is_public(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__ and all(hasattr(module, name) for name in module.__all__)
    undocumented = [name for name in module.__all__ if not (getattr(module, name).__doc__ or "").strip()]
    assert undocumented == []


def test_every_hook_is_explained() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("plugrad_")]
    assert len(hooks) >= 8
    page = TEXT[ROOT / "docs" / "concepts" / "plugins.md"]
    assert [name for name in hooks if f"`{name}`" not in page] == []


def test_every_environment_variable_is_explained() -> None:
    patterns = ("core/src/**/*.py", "plugins/*/src/**/*.py", "plugins_*/src/**/*.py*")
    sources = [path for pattern in patterns for path in ROOT.glob(pattern) if path.suffix in {".py", ".pyx"}]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    variables = set(re.findall(r"PLUGRAD_[A-Z]+(?:_[A-Z]+)*", text))
    page = TEXT[ROOT / "docs" / "environment.md"]
    assert variables
    assert sorted(name for name in variables if f"`{name}`" not in page) == []


def test_every_error_is_listed() -> None:
    errors = importlib.import_module("plugrad.errors")
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert classes
    assert sorted(classes - WORDS) == []


def test_our_own_packages_are_installed_from_dist() -> None:
    """Nothing is on an index yet, so an instruction without dist/ could install something else of the same name."""
    lines = [line for text in TEXT.values() for line in text.splitlines() if re.search("pip install.*plugrad", line)]
    assert lines
    assert [line for line in lines if "--no-index" not in line or "--find-links dist" not in line] == []
