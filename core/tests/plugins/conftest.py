"""Installs throw-away distributions in a folder on sys.path, metadata included, and runs Python with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import plugrad

SOURCE = str(Path(plugrad.__file__).parents[1])

TOY_BACKEND = """
from plugrad.backend import Backend, Spec


class Toy(Backend):
    name = "{name}"

    def from_host(self, array, device):
        return array.copy()

    def to_host(self, value):
        return value

    def spec(self, value):
        return Spec(value.shape, value.dtype)
"""


class Site:
    """A folder of distributions. Only these are enabled unless a test says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entry_points: list[str] = []

    def add(
        self, dist: str, files: dict[str, str], version: str = "1.0", folder: str = "", **entry_points: str
    ) -> None:
        """Install modules and the metadata that names them."""
        root = self.folder / folder
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        info = root / f"{dist.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        listed = "".join(f"{name} = {target}\n" for name, target in entry_points.items())
        (info / "entry_points.txt").write_text(f"[plugrad]\n{listed}")
        self.entry_points += entry_points

    def toy(self, name: str, dist: str = "", probe: str = "", priority: int = 1) -> None:
        """Install a plugin with a backend of this name. ``probe`` is the source of its probe's body."""
        dist = dist or f"plugrad-{name}"
        module = dist.replace("-", "_")
        target = repr(f"{module}_probe:available" if probe else None)
        plugin = f"""
            from plugrad.plugins import hookimpl
            API = (1, 0)
            @hookimpl
            def plugrad_backends(registrar):
                registrar.backend("{name}", target="{module}_backend:Toy", probe={target}, priority={priority})
            """
        files = {f"{module}_plugin.py": plugin, f"{module}_backend.py": TOY_BACKEND.format(name=name)}
        if probe:
            files[f"{module}_probe.py"] = f"def available():\n    {probe}\n"
        self.add(dist, files, **{name: f"{module}_plugin"})

    def python(
        self, code: str, *args: str, enable: str | None = None, path: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run code with these distributions importable."""
        chosen = ",".join(self.entry_points) or "none" if enable is None else enable
        paths = [str(self.folder / path) if path else "", str(self.folder), SOURCE, *sys.path]
        full = {k: v for k, v in os.environ.items() if not k.startswith("PLUGRAD_")}
        full |= {"PYTHONPATH": os.pathsep.join(p for p in paths if p), "PLUGRAD_PLUGINS": chosen, **env}
        return subprocess.run(
            [sys.executable, "-c", dedent(code), *args], capture_output=True, text=True, timeout=60, env=full
        )

    def cli(self, *args: str, **options: str) -> subprocess.CompletedProcess[str]:
        """Run ``plugrad <args>``."""
        return self.python("import sys; from plugrad.cli import main; sys.exit(main())", *args, **options)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
