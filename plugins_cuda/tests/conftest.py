"""Makes the emulated driver importable as ``emu``, and offers the device to tests: the emulated one, or a real GPU.

The emulated driver is loaded when the first test asks for the device, and then only where there is no real one or
PLUGRAD_CUDA_EMULATE=1 asks for it; with PLUGRAD_CUDA_EMULATE=0, never.
"""

from __future__ import annotations

import gc
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

ABSENT = "no CUDA device: cuda-core is not installed, which the emulated driver needs too"


@pytest.fixture(scope="session")
def driver() -> str:
    """Which driver the tests of this process use: "emulated" or "real"."""
    from device_lab import has_cuda_python

    if not has_cuda_python():
        pytest.skip(ABSENT)
    import emu
    from emu.lab import hindrance

    if not hindrance():
        emu.load()
        return "emulated"
    from plugrad_cuda.probe import available

    reason = available()
    if reason is not True:
        pytest.skip(f"no CUDA device: {reason}")
    return "real"


@pytest.fixture(scope="session")
def emulated(driver: str) -> None:
    """Only on the emulated driver: the test breaks the device."""
    if driver != "emulated":
        pytest.skip("no CUDA device may be broken by a test: emulated driver only")


@pytest.fixture
def clean(emulated: None) -> Iterator[None]:
    """Only on the emulated driver, with its settings as at the start and no error left over, before and after."""
    from emu import lab

    yield from lab.clean()


@pytest.fixture(scope="module")
def lab(emulated: None, request: pytest.FixtureRequest) -> Any:
    """A bench with the kernels ``NAMES`` of the module's ``SOURCE``."""
    from emu.lab import Lab

    return Lab(request.module.SOURCE, request.module.NAMES)


@pytest.fixture(params=["forward", "random"])
def cuda(driver: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The device's name, ready and clean; fails if the test leaves device memory allocated.

    ``forward``: threads in order, work at once. ``random``: threads, blocks and streams in an order drawn from the
    test's name, and work queued until something waits. In both, memory ends at unreadable pages.
    """
    from plugrad_cuda import runtime

    if driver == "real":
        if request.param == "random":
            pytest.skip("no CUDA device has an order of threads to choose: emulated driver only")
        yield "cuda:0"
        return
    import emu

    emu.reset()
    seed = zlib.crc32(request.node.nodeid.encode())
    device = runtime.of("0")
    _forget()
    emu.configure(order=request.param, deferred=request.param == "random", guard="end", seed=seed)
    before = emu.live_bytes()
    yield "cuda:0"
    device.fault = ""
    _forget()
    emu.reset()
    left = emu.live_bytes() - before
    emu.configure(order="forward", deferred=False)
    assert left == 0, f"the test left {left} bytes of device memory allocated: {emu.report().live[-3:]}"


def _forget() -> None:
    """Drop what the core keeps on purpose: scalars as tensors."""
    import emu

    from plugrad import dispatch

    dispatch._lifted.clear()
    gc.collect()
    emu.configure(order="forward")  # finishes queued work, frees among it
