"""What goes wrong on a device, in the core's classes. Knows no runtime."""

from __future__ import annotations

import re
from typing import Any

from plugrad.errors import DeviceError

STICKY = frozenset({214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810})
"""Numbers of the driver's errors after which every call of the process that needs the device fails.

The driver's documentation says so of all but three: after 214 and 220, uncorrectable errors of memory and NVLink, what
memory holds is lost; 709 is a context that was destroyed. It says nothing of the kind of 999, an unknown error: if that
sticks, each call answers it again. 911 concerns devices that are no GPUs, and is not used here.
"""

OUT_OF_MEMORY = 2

HINTS = {
    OUT_OF_MEMORY: "free tensors that are no longer needed, or use smaller batches",
    209: "there is no machine code for this GPU; it may be newer than the compiler: upgrade nvidia-cuda-nvrtc",
    700: "a kernel used memory that is not its own",
    702: "a kernel ran longer than the system allows; a GPU that also drives a display has such a limit",
    719: "a kernel was stopped by an error of its own",
}


class LateIndexError(DeviceError, IndexError):
    """An index out of range, found by the device after the call returned. The access was clamped or left out."""


class OutOfMemoryError(DeviceError, MemoryError):
    """The device has no memory left for a result."""


def number_of(error: BaseException, results: Any) -> int:
    """The driver's number of an error that cuda.core raised, of which the message begins with the name; 0 if it has
    none. ``results`` is the enumeration ``CUresult``.
    """
    name = re.match(r"CUDA_ERROR_\w+", str(error))
    return int(getattr(results, name[0], 0)) if name else 0


def first_line(error: BaseException) -> str:
    """What an error says, in short."""
    return str(error).strip().partition("\n")[0].partition(". ")[0]
