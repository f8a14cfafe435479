"""Whether an NVIDIA GPU can be used here, and if not, precisely why. Makes no CUDA context and keeps no handle."""

from __future__ import annotations

import importlib
from typing import Any, Literal

NO_KERNELS = "this version of plugrad-cuda registers and probes only; it provides no kernels yet"

HINTS = {
    100: "the driver sees no GPU; in a container pass the GPU in, and look at CUDA_VISIBLE_DEVICES",
    802: "the system is not ready; if it has NVSwitches, start the fabric manager",
    803: "driver and kernel module are of different versions; reboot, or reinstall the driver",
    804: "the compatibility libraries do not support this GPU; take them off the library path or upgrade the driver",
}
"""What to do about an answer of cuInit, by its number."""


def available() -> Literal[True] | str:
    """``True`` if this backend can be used here, otherwise the reason. This version always has one."""
    return no_device() or NO_KERNELS


def no_device() -> str:
    """Why there is no usable GPU; empty if there is one."""
    try:
        driver = importlib.import_module("cuda.bindings.driver")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "cuda":
            return _unusable(error)
        return "cuda-python is not installed; pip install 'plugrad-cuda[cu13]', or [cu12] for a driver of CUDA 12"
    except Exception as error:
        return _unusable(error)
    try:
        return _ask(driver)
    except Exception as error:  # the library is looked for at the first call; releases report its absence differently
        text = str(error).strip().partition("\n")[0]
        return f"the NVIDIA driver library cannot be loaded ({type(error).__name__}: {text}); install the NVIDIA driver"


def _unusable(error: Exception) -> str:
    return f"cuda-python is installed but cannot be imported ({type(error).__name__}: {error}); reinstall cuda-bindings"


def _ask(driver: Any) -> str:
    (code,) = driver.cuInit(0)
    if int(code):
        hint = HINTS.get(int(code), "see the CUDA driver's list of errors")
        return f"the driver cannot be used: cuInit answered {getattr(code, 'name', code)} ({int(code)}); {hint}"
    code, count = driver.cuDeviceGetCount()
    if int(code):
        return f"the driver cannot count its devices: {getattr(code, 'name', code)} ({int(code)})"
    return "" if count else f"the driver works but reports no device; {HINTS[100]}"
