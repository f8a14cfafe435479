"""What the page on compile shows as output is what its program prints, but for numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "concepts" / "compile.md"


def blocks(kind: str) -> list[str]:
    """The fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def neutral(text: str) -> list[str]:
    """The lines, without bars and numbers: times differ from run to run, places and sizes when a pass gets better."""
    return [re.sub(r"\d+(\.\d+)?( [kM]?B)?", "_", line) for line in text.splitlines() if not line.startswith("|")]


def test_the_output_is_as_shown(tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks("python")), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLUGRAD_")}
    environment["PYTHONIOENCODING"] = "utf-8"
    command = [sys.executable, str(script)]
    options = {"capture_output": True, "encoding": "utf-8", "timeout": 120, "check": True}
    printed = neutral(subprocess.run(command, cwd=tmp_path, env=environment, **options).stdout)
    shown = blocks("text")
    assert len(shown) >= 3
    for block in shown:
        assert [line for line in neutral(block) if line not in printed] == [], printed
    assert (tmp_path / "plan.svg").read_text(encoding="utf-8").startswith("<svg ")
