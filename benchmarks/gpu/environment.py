"""Section: the machine. GPU, driver, compilers, and the packages that are there or lack, with what lacks for want of
them.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from .packages import COMPILED, projects
from .records import DEVICE, Section, driver_in_use, section

NEEDED = {
    "numpy": "nothing runs",
    "ml_dtypes": "nothing runs",
    "pluggy": "nothing runs that finds plugins",
    "cuda-bindings": "the GPU cannot be reached",
    "cuda-core": "the GPU cannot be reached",
    "pytest": "the section tests cannot run",
}
"""Distributions without which the check fails."""
WELCOME = {
    "hypothesis": "tests that draw their cases cannot run",
    "Cython": "plugrad-cpu cannot be built, so tests that compare with it are skipped",
    "setuptools": "plugrad-cpu cannot be built, so tests that compare with it are skipped",
    "torch": "no ratios to torch",
    "cupy": "no ratios to cupy",
    "jax": "nothing else",
}
"""Distributions without which a part is left out."""
PROGRAMS = (("nvcc", "--version"), ("g++", "--version"), ("compute-sanitizer", "--version"))
PATIENCE = 8.0
"""Seconds that a program has to tell its version."""


def version(name: str) -> str | None:
    """A distribution's version; cupy and jax come under several names."""
    names = [name, *(f"{name}-cuda{n}x" for n in (13, 12) if name == "cupy")]
    for candidate in names:
        try:
            return metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
    return None


def packages(running: Section) -> None:
    """What is installed, and what is not."""
    for table, outcome in ((NEEDED, "failed"), (WELCOME, "skipped")):
        for name, consequence in table.items():
            found = version(name)
            if found:
                running.fact(name, found)
            else:
                running.case(f"package {name}", outcome, f"{name} is not installed: {consequence}")


def answer(command: Sequence[str]) -> str:
    """What a program prints, or why it does not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return f"no version: it gave no answer in {PATIENCE:.0f} s"
    except OSError as error:
        return f"no version: it cannot be run: {error.strerror}"
    return (done.stdout or done.stderr).strip()


def programs(running: Section, sanitizer: str) -> None:
    """Versions of the command-line tools."""
    for name, option in PROGRAMS:
        path = sanitizer if name == "compute-sanitizer" else shutil.which(name)
        if not path:
            running.fact(name, "not found")
            continue
        lines = [line for line in answer([path, option]).splitlines() if line.strip()]
        said = next((line for line in lines if "release" in line or "ersion" in line), lines[0] if lines else "?")
        running.fact(name, said.strip())


def smi(running: Section) -> None:
    """What nvidia-smi says of the GPU."""
    path = shutil.which("nvidia-smi")
    if path is None:
        running.note("nvidia-smi is not on the PATH")
        return
    fields = "name,driver_version,memory.total,clocks.max.sm,power.limit"
    said = answer([path, f"--query-gpu={fields}", "--format=csv,noheader"])
    running.fact("nvidia-smi", said.replace("\n", "; "))


def device(running: Section) -> str:
    """What the driver says of the device that is checked."""
    cuda: Any = importlib.import_module("plugrad_cuda.toolchain").core()
    driver: Any = importlib.import_module("cuda.bindings.driver")
    found = cuda.Device(0)
    found.set_current()
    capability = found.compute_capability
    running.fact("device", found.name)
    running.fact("compute capability", f"{capability.major}.{capability.minor}")
    running.fact("driver's CUDA version", driver.cuDriverGetVersion()[1])
    running.fact("driver in use", driver_in_use())
    nvrtc: Any = importlib.import_module("cuda.bindings.nvrtc")
    running.fact("NVRTC", ".".join(map(str, nvrtc.nvrtcVersion()[1:])))
    return ""


def usable(running: Section) -> str:
    """plugrad can put an array on the device and add to it."""
    pg = importlib.import_module("plugrad")
    x = pg.asarray([1.0, 2.0], device=DEVICE) + 1.0
    if x.tolist() != [2.0, 3.0]:
        raise AssertionError(f"[1, 2] + 1 on {DEVICE} is {x.tolist()}")
    wanted = "emulated" if running.emulated else "real"
    if driver_in_use() != wanted:
        raise AssertionError(f"the driver in use is {driver_in_use()}, and the {wanted} one was asked for")
    return str(pg.plugins.available_backends()["cuda"])


def sources(running: Section) -> str:
    """Our own packages, all of them, come from the source tree or from what was built of it."""
    for folder, project in projects().items():
        name = str(project["name"])
        if importlib.util.find_spec(name.replace("-", "_")) is not None:
            running.fact(name, project["version"])
        elif folder.name == COMPILED:
            running.fact(name, "not compiled for this interpreter")
        else:
            raise AssertionError(f"{name} cannot be imported")
    return ""


def main() -> None:
    """Report."""
    with section() as running:
        running.fact("Python", sys.version.split()[0])
        running.fact("system", f"{platform.platform()}, {platform.processor() or platform.machine()}")
        packages(running)
        programs(running, running.rest[0] if running.rest else "")
        smi(running)
        running.emulate()
        running.check("our packages", lambda: sources(running))
        running.check("device", lambda: device(running))
        running.check("a sum on the device", lambda: usable(running))


if __name__ == "__main__":
    main()
