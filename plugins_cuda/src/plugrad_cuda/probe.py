"""Whether an NVIDIA GPU can be used here, and if not, precisely why. Makes no CUDA context and no object of cuda.core:
without a driver some of them raise, and then block the next caller for ever.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Literal

from . import toolchain

NEEDED_DRIVER = 13000
NEEDED_CAPABILITY = (8, 0)

HINTS = {
    100: "the driver sees no GPU; in a container pass the GPU in, and look at CUDA_VISIBLE_DEVICES",
    802: "the system is not ready; if it has NVSwitches, start the fabric manager",
    803: "driver and kernel module are of different versions; reboot, or reinstall the driver",
    804: "the compatibility libraries do not support this GPU; take them off the library path or upgrade the driver",
}
"""What to do about an answer of cuInit, by its number."""

INSTALL = "pip install 'plugrad-cuda[cu13]'"


def available() -> Literal[True] | str:
    """``True`` if this backend can be used here, otherwise the reason."""
    return no_device() or no_compiler() or True


def no_device() -> str:
    """Why there is no usable GPU; empty if there is one."""
    try:
        driver = importlib.import_module("cuda.bindings.driver")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "cuda":
            return _damaged(error)
        return f"cuda-python is not installed; {INSTALL}"
    except Exception as error:
        return _damaged(error)
    try:
        return _ask(driver)
    except Exception as error:  # the library is looked for at the first call; releases report its absence differently
        return f"the NVIDIA driver library cannot be loaded ({_short(error)}); install the NVIDIA driver"


def no_compiler() -> str:
    """Why kernels cannot be compiled; empty if they can."""
    if importlib.util.find_spec("cuda.core") is None:
        return f"cuda-core is not installed; {INSTALL}"
    if toolchain.replaced():
        return ""
    try:
        nvrtc = importlib.import_module("cuda.bindings.nvrtc")
        code, major, minor = nvrtc.nvrtcVersion()
    except Exception as error:
        return f"NVRTC, the run-time compiler, cannot be loaded ({_short(error)}); {INSTALL}"
    if int(code):
        return f"NVRTC, the run-time compiler, does not answer ({getattr(code, 'name', code)}); {INSTALL}"
    needed = NEEDED_DRIVER // 1000
    return "" if major >= needed else f"NVRTC is of CUDA {major}.{minor}, and {needed}.0 is needed; {INSTALL}"


def usable_devices() -> list[str]:
    """Ordinals of the devices that this backend can use. Only after ``available()`` said True."""
    driver = importlib.import_module("cuda.bindings.driver")
    _, count = driver.cuDeviceGetCount()
    return [str(k) for k in range(count) if _capability(driver, k) >= NEEDED_CAPABILITY]


def _ask(driver: Any) -> str:
    (code,) = driver.cuInit(0)
    if int(code):
        hint = HINTS.get(int(code), "see the CUDA driver's list of errors")
        return f"the driver cannot be used: cuInit answered {getattr(code, 'name', code)} ({int(code)}); {hint}"
    code, version = driver.cuDriverGetVersion()
    if int(code):
        return f"the driver does not tell its version: {getattr(code, 'name', code)} ({int(code)})"
    if version < NEEDED_DRIVER:
        found, needed = _version(version), _version(NEEDED_DRIVER)
        return f"the driver is of CUDA {found}, and {needed} or newer is needed; upgrade the NVIDIA driver"
    code, count = driver.cuDeviceGetCount()
    if int(code):
        return f"the driver cannot count its devices: {getattr(code, 'name', code)} ({int(code)})"
    if not count:
        return f"the driver works but reports no device; {HINTS[100]}"
    best = max(_capability(driver, k) for k in range(count))
    if best < NEEDED_CAPABILITY:
        found, needed = [f"{major}.{minor}" for major, minor in (best, NEEDED_CAPABILITY)]
        return f"the GPU has compute capability {found}, and {needed} or higher is needed (Ampere or newer)"
    return ""


def _capability(driver: Any, ordinal: int) -> tuple[int, int]:
    """A device's compute capability; (0, 0) if it cannot be asked."""
    attribute = driver.CUdevice_attribute
    code, device = driver.cuDeviceGet(ordinal)
    if int(code):
        return 0, 0
    _, major = driver.cuDeviceGetAttribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)
    _, minor = driver.cuDeviceGetAttribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)
    return int(major), int(minor)


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _damaged(error: Exception) -> str:
    return f"cuda-python is installed but cannot be imported ({type(error).__name__}: {error}); reinstall cuda-bindings"


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
