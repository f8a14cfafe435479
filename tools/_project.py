"""What the developer scripts know of the repository: its distributions, their sources, and how to run a command.

Standard library only, so that every script starts at once.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
DIST = ROOT / "dist"
PLUGINS = ("nn", "norm", "optim", "data", "train")
FOLDERS = ("core", *(f"plugins/{name}" for name in PLUGINS), "plugins_cpu", "plugins_cuda")
_OUTPUTS = {"build", "dist", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}
_OUTPUT_SUFFIXES = {".pyc", ".so", ".o", ".a", ".pyd"}


@dataclass(frozen=True)
class Distribution:
    """One folder that builds one wheel."""

    folder: Path

    @cached_property
    def project(self) -> dict[str, object]:
        """The [project] table of its pyproject.toml."""
        return tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]

    @property
    def name(self) -> str:
        """The name to install, such as ``plugrad-nn``."""
        return str(self.project["name"])

    @property
    def package(self) -> str:
        """The name to import, such as ``plugrad_nn``."""
        return self.name.replace("-", "_")

    @property
    def source(self) -> Path:
        """The folder of the package itself."""
        return self.folder / "src" / self.package

    @property
    def tests(self) -> Path:
        """The folder of its own tests."""
        return self.folder / "tests"

    def wheel(self) -> Path | None:
        """Its wheel in dist/, if it was built."""
        found = sorted(DIST.glob(f"{self.package}-*.whl"))
        return found[-1] if found else None

    def build_inputs(self) -> Iterator[Path]:
        """The files a wheel is made of, generated ones and tests left out."""
        generated = {path.with_suffix(".c") for path in files(self.folder, {".pyx"})}
        for path in files(self.folder):
            if path not in generated and self.tests not in path.parents and ".egg-info" not in str(path):
                yield path


def distributions() -> list[Distribution]:
    """All distributions, the core first."""
    return [Distribution(ROOT / folder) for folder in FOLDERS if (ROOT / folder / "pyproject.toml").exists()]


def files(folder: Path, suffixes: set[str] | None = None) -> Iterator[Path]:
    """The files below a folder in a fixed order, without what tools leave behind."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _OUTPUTS and not name.startswith(".venv"))
        for name in sorted(names):
            path = Path(here) / name
            if path.suffix not in _OUTPUT_SUFFIXES and (suffixes is None or path.suffix in suffixes):
                yield path


def tracked() -> list[Path]:
    """The files under version control or about to be: what git would add, or everything outside a clone."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return [path for path in files(ROOT) if not any(part.startswith(".venv") for part in path.parts)]
    return sorted({ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()})


def digest(paths: Iterator[Path] | Sequence[Path], *extra: str) -> str:
    """A hash of names, contents and further strings: equal exactly when nothing changed."""
    total = hashlib.sha256(sys.version.encode())
    for path in sorted(paths):
        total.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    for text in extra:
        total.update(text.encode() + b"\0")
    return total.hexdigest()


def say(text: str) -> None:
    """One line about what is being done, shown at once."""
    print(f"==> {text}", flush=True)


def run(command: Sequence[str | Path], *, cwd: Path = ROOT, quiet: bool = False, **environment: str) -> int:
    """Run a command and return its exit status; a quiet one shows its output only when it fails."""
    words = [str(word) for word in command]
    env = {**os.environ, **environment}
    if not quiet:
        sys.stdout.flush()
        return subprocess.run(words, cwd=cwd, env=env, check=False).returncode
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(words, cwd=cwd, env=env, check=False, text=True, **pipes)
    if done.returncode:
        print(done.stdout, flush=True)
    return done.returncode


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.perf_counter() - self.start

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s"


def use_venv() -> None:
    """Start the script again with the project's own interpreter if another one runs it."""
    python = VENV / "bin" / "python"
    if Path(sys.prefix).resolve() == VENV.resolve():
        return
    if not python.exists():
        sys.exit("the environment .venv does not exist yet: run `make test` (or any other target) once")
    os.execv(python, [str(python), *sys.argv])
