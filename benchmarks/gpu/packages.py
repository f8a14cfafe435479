"""Makes the project's distributions usable from the source tree, with their entry points, without writing into it.

Standard library only, since it runs before anything is known of the machine.
"""

from __future__ import annotations

import importlib.machinery
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMPILED = "plugins_cpu"
LEFT_OUT = ("build", "dist", "*.egg-info", "__pycache__", "tests", "*.so")


def projects() -> dict[Path, dict[str, Any]]:
    """The folder and the [project] table of every distribution."""
    paths = [path for pattern in ("core", "plugins/*", "plugins_*") for path in ROOT.glob(f"{pattern}/pyproject.toml")]
    return {path.parent: tomllib.loads(path.read_text(encoding="utf-8"))["project"] for path in sorted(paths)}


def declare(site: Path, project: dict[str, Any]) -> None:
    """Metadata of one distribution, as an installer would write it."""
    name, version = str(project["name"]), str(project["version"])
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
        for group, points in project.get("entry-points", {}).items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))


def compiled_here() -> bool:
    """Whether the tree holds the compiled modules for this interpreter."""
    source = ROOT / COMPILED / "src" / "plugrad_cpu"
    names = [path.stem for path in source.glob("*.pyx")]
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    return bool(names) and all((source / f"{name}{suffix}").exists() for name in names)


def prepare(scratch: Path) -> tuple[list[Path], Path | None]:
    """The folders for PYTHONPATH, and the site folder into which plugrad-cpu must be built first (None: it need not).

    plugrad-cpu is declared only where it is compiled: a broken backend would be reported in every section.
    """
    site, paths = scratch / "site", []
    site.mkdir(parents=True)
    ready = compiled_here()
    for folder, project in projects().items():
        if folder.name != COMPILED or ready:
            declare(site, project)
            paths.append(folder / "src")
    return [site, *paths, ROOT / "benchmarks"], None if ready else scratch / "compiled"


def build(scratch: Path, site: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start to compile plugrad-cpu from a copy of its sources; nothing is fetched."""
    copy = scratch / COMPILED
    shutil.copytree(ROOT / COMPILED, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", "-q", *options, "--target", str(site), str(copy)]
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, env=os.environ.copy())
