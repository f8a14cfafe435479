"""docs/backend_contract.md is generated, and says of members, rules and kernels what the code says."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

from plugrad import OPS
from plugrad.backend import Backend
from plugrad.plugins import load_ops
from plugrad.testing import STEPS
from plugrad.testing.contract.samples import has_samples, samples

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "backend_contract.md"


def test_the_page_is_fresh() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / "contract", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_page_names_everything() -> None:
    text = PAGE.read_text(encoding="utf-8")
    public = {name for name in {**vars(Backend), **Backend.__annotations__} if not name.startswith("_")}
    assert {name for name in public if f"`{name}" not in text} == set()
    assert re.findall(r"^\| (K\d) \|", text, re.MULTILINE) == [f"K{i}" for i in range(1, 9)]
    assert [name for step in STEPS for name in step.adds if f"| `{name}(" not in text] == []
    assert "| `sum(x, *, axis, keepdims)` | float32 (2, 3, 4), axis=(0,), keepdims=False → float32 (3, 4) |" in text
    assert OPS["sum"].dtypes == "arithmetic" and "→ float32 (3, 4) | arithmetic |" in text


def test_signatures_are_what_kernels_get() -> None:
    """Every sample call fits the signature that the page of kernels gives, and uses each operand and attribute."""
    text = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([\w.]+)` \| `[\w.]+\((.*?)\)` \|", text, re.MULTILINE))
    load_ops()
    sampled = [op for op in list(OPS.values()) if op.name in listed and has_samples(op.name)]
    assert len(sampled) > 50
    for op in sampled:
        wanted = inspect.signature(eval(f"lambda {listed[op.name]}: None"))
        for sample in samples(op.name, min(op.codes)):
            attrs = sample.attrs if sample.operands else {**sample.attrs, "device": "0"}
            bound = wanted.bind(*sample.operands, **attrs)
            given = {name for name, p in wanted.parameters.items() if p.kind is not p.VAR_POSITIONAL}
            assert set(bound.arguments) >= given, op.name


def test_examples_are_typical() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "step=(-1, -2) → float32 (3, 2)" in text
    assert [line for line in text.splitlines() if line.startswith(("| `gather(", "| `iota(")) and " ()" in line] == []
    assert "| `inexact` | f2 bf2 f4 f8 c8 c16 |" in text
