"""Builds the emulated driver and loads it in the place of ``libcuda.so.1``."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Unpack

from . import compiler, control
from .toolchain import INCLUDE, HostToolchain

DRIVER = Path(__file__).parent / "driver"
SONAME = "libcuda.so.1"
FLAGS = ("-std=c++17", "-O2", "-g1", "-fPIC", "-fvisibility=hidden", "-U_FORTIFY_SOURCE", "-Wall", "-Wextra")
LINK = (
    "-shared",
    f"-Wl,-soname,{SONAME}",
    f"-Wl,--version-script={DRIVER / 'exports.map'}",
    # The interpreter may carry another C++ library of its own: this one is kept inside.
    "-static-libstdc++",
    "-static-libgcc",
    "-ldl",
    "-lpthread",
)


def load(
    *,
    devices: int | None = None,
    driver_version: int | None = None,
    init_code: int | None = None,
    portable: bool = False,
    **settings: Unpack[control.Settings],
) -> None:
    """Put the emulated driver in the place of NVIDIA's, for this process, and plugrad-cuda's compiler with it.

    Settings are those of ``configure``, and: the number of ``devices`` (1; with 0 ``cuInit`` answers 100, as a driver
    without a device does), the ``driver_version`` that is reported (13000), an ``init_code`` that ``cuInit`` answers.
    ``portable=True`` switches fibers through the C library, as on processors other than x86-64.
    A second call changes the settings given and nothing else. Raises ``RuntimeError`` if a real driver is loaded.
    """
    if not control.attached():
        control.attach(_open(portable))
    numbers = {"devices": devices, "driver_version": driver_version, "init_code": init_code}
    for name, number in numbers.items():
        if number is not None:
            control.set_number(name, number)
    control.configure(**settings)
    _serve_device_sync()
    _use_host_toolchain()


def loaded() -> bool:
    """Whether the emulated driver is this process's driver."""
    return control.attached()


def _open(portable: bool) -> ctypes.CDLL:
    others = sorted(set(_mapped_drivers()))
    if others:
        raise RuntimeError(
            f"a CUDA driver is loaded already ({', '.join(others)}), so the emulated one cannot take its place; "
            "call emu.load() before anything uses CUDA"
        )
    library = ctypes.CDLL(str(build(portable)), mode=ctypes.RTLD_LOCAL)
    opened = ctypes.CDLL(SONAME, mode=ctypes.RTLD_LOCAL)  # what cuda.bindings will do: it must find ours by its name
    if not hasattr(opened, "emu_abi"):
        raise RuntimeError(f"{SONAME} still names another driver than the emulated one")
    return library


def _mapped_drivers() -> Iterator[str]:
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.partition("/")[2]
        if path.rpartition("/")[2].startswith("libcuda.so"):
            yield "/" + path


def build(portable: bool = False) -> Path:
    """The driver's library, compiled if its sources, flags or compiler are new."""
    sources = sorted(DRIVER.glob("*.cpp"))
    inputs = sorted([*DRIVER.iterdir(), INCLUDE / "emu_abi.h"])
    flags = [*FLAGS, *(["-DEMU_UCONTEXT"] if portable else [])]
    parts: list[str | bytes] = [
        compiler.identity(compiler.compiler()),
        *flags,
        *LINK[2:],
        *(path.read_bytes() for path in inputs),
    ]

    def make(target: Path, scratch: Path) -> None:
        objects = [scratch / f"{source.stem}.o" for source in sources]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda pair: compiler.run([*flags, "-c", pair[0], "-o", pair[1]]), zip(sources, objects)))
        compiler.run([*objects, *LINK, "-o", target])

    return compiler.cached(f"driver-{compiler.digest(parts)}/{SONAME}", make)


def _serve_device_sync() -> None:
    """Make ``cuda.core.Device.sync()`` work. It calls the CUDA runtime library, which cannot start here, as it asks the
    driver for private tables; the driver's function of the same meaning is put in the place of the one called.
    """
    try:
        driver = importlib.import_module("cuda.bindings.driver")
        runtime = importlib.import_module("cuda.bindings.runtime")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "cuda":
            raise
        return

    def synchronize() -> tuple[Any]:
        (code,) = driver.cuCtxSynchronize()
        return (runtime.cudaError_t(int(code)),)  # both number their errors alike

    runtime.cudaDeviceSynchronize = synchronize


def _use_host_toolchain() -> None:
    """The emulation is of use without plugrad-cuda; with it, kernels must be built for the host."""
    try:
        toolchain = importlib.import_module("plugrad_cuda.toolchain")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("plugrad"):
            raise
        return
    toolchain.use(HostToolchain())
