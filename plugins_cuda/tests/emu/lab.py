"""A bench for kernels under test: arrays in, launches, arrays out, through the real cuda.core. For the tests only."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np

from . import control, loader
from .toolchain import HostToolchain

Size = int | tuple[int, ...]

N = np.int32(64)


def _has_driver() -> bool:
    try:
        ctypes.CDLL(loader.SONAME)
    except OSError:
        return False
    return True


def hindrance() -> str:
    """Why the emulated driver should not be loaded into this process; empty if it may be.

    PLUGRAD_CUDA_EMULATE=1 asks for it and 0 forbids it; otherwise it is for machines without a driver.
    """
    wanted = os.environ.get("PLUGRAD_CUDA_EMULATE")
    if wanted == "0":
        return "no CUDA device may be emulated: PLUGRAD_CUDA_EMULATE=0"
    if loader.loaded() or wanted == "1" or not _has_driver():
        return ""
    return (
        "no CUDA device is emulated where there is a driver; PLUGRAD_CUDA_EMULATE=1 tests the emulated one in its place"
    )


class Lab:
    """One device, one stream, the kernels of one text."""

    def __init__(self, source: str, names: Sequence[str], toolchain: HostToolchain | None = None) -> None:
        loader.load()
        from cuda.core import Device

        self.device = Device()
        self.device.set_current()
        self.stream = self.device.create_stream()
        self.module = (toolchain or HostToolchain()).build(source, names, "sm_90")
        self.kernels = {name: self.module.get_kernel(name) for name in names}

    def empty(self, nbytes: int, stream: Any = None) -> Any:
        """A device buffer with nothing written to it."""
        return self.device.allocate(nbytes, stream=stream or self.stream)

    def put(self, array: np.ndarray) -> Any:
        """A device buffer with a copy of the array."""
        buffer = self.empty(array.nbytes)
        buffer.copy_from(host(array), stream=self.stream)
        return buffer

    def get(self, buffer: Any, dtype: str, stream: Any = None) -> np.ndarray:
        """What the buffer holds, as a flat array; waits for the stream."""
        array = np.empty(buffer.size // np.dtype(dtype).itemsize, dtype)
        buffer.copy_to(host(array), stream=stream or self.stream)
        (stream or self.stream).sync()
        return array

    def launch(
        self, name: str, *args: Any, grid: Size = 1, block: Size = 32, shared: int = 0, stream: Any = None
    ) -> None:
        """Queue one kernel. Scalars must be NumPy scalars of the parameter's type."""
        from cuda.core import LaunchConfig, launch

        config = LaunchConfig(grid=grid, block=block, shmem_size=shared)
        launch(stream or self.stream, config, self.kernels[name], *args)

    def run(self, name: str, *args: Any, out: tuple[int, str], **how: Any) -> np.ndarray:
        """Launch with a result buffer of ``out = (elements, dtype)`` as first argument; the result."""
        buffer = self.empty(out[0] * np.dtype(out[1]).itemsize)
        self.launch(name, buffer, *args, **how)
        return self.get(buffer, out[1])


def ones(lab: Lab) -> Any:
    """A device buffer of ``N`` ones."""
    return lab.put(np.ones(N, "f4"))


def host(array: np.ndarray) -> Any:
    """The array's memory as a cuda.core Buffer."""
    from cuda.core import Buffer

    return Buffer.from_handle(array.ctypes.data, array.nbytes)


def python(code: str, **environment: str) -> str:
    """What the code prints in a process of its own; it must end well, and soon."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *(part for part in sys.path if part)])
    command = [sys.executable, "-c", dedent(code)]
    env = os.environ | {"PYTHONPATH": path} | environment
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def clean() -> Iterator[None]:
    """For a fixture around each test: settings as at the start, no error left over, before and after."""
    loader.load()
    for last in (False, True):
        control.reset()
        control.configure(**control.START)
        if not last:
            yield
