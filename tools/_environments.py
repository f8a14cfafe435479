"""Clean environments of wheels for the developer scripts: what a wheel declares, and where those packages come from.

Needs the project's own interpreter: import it after ``use_venv()``.
"""

from __future__ import annotations

import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Sequence
from email.parser import HeaderParser
from hashlib import sha256
from pathlib import Path

from _project import ROOT, run, say
from packaging.requirements import Requirement

ENVIRONMENTS = ROOT / ".venvs"
PIP = (sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check")


def requirements(wheel: Path, extras: Iterable[str]) -> list[Requirement]:
    """What a wheel declares for the given extras on this interpreter."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    wanted = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    environments = [{"extra": extra} for extra in ("", *extras)]
    return [item for item in wanted if item.marker is None or any(item.marker.evaluate(env) for env in environments)]


def python_of(environment: Path) -> Path:
    """The interpreter of an environment."""
    return environment / "bin" / "python"


def site_packages(environment: Path) -> Path:
    """Where an environment keeps its packages."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(environment), "platbase": str(environment)}))


def shared(third_party: Sequence[str]) -> Path:
    """The environment that holds exactly these third-party packages, made when it is first asked for."""
    name = sha256("\n".join([sys.version, *third_party]).encode()).hexdigest()[:12]
    environment = ENVIRONMENTS / f"shared-{name}"
    stamp = environment / "complete"
    if not stamp.exists():
        say(f"installing {', '.join(third_party)}")
        checked(sys.executable, "-m", "venv", "--clear", "--without-pip", environment)
        checked(*PIP, "--python", python_of(environment), "install", *third_party)
        stamp.write_text("\n".join(third_party) + "\n")
    return environment


def checked(*command: str | Path) -> None:
    """Run a command that must succeed."""
    if run(command, quiet=True):
        sys.exit(f"failed: {' '.join(map(str, command))}")
