"""docs/backend_contract.md is generated, and says of members, rules and kernels what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from plugrad import OPS
from plugrad.backend import Backend
from plugrad.testing import STEPS

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
