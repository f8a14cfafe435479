"""The backend class that the plugin declares. It has no kernels yet, so making one says why and stops."""

from __future__ import annotations

from plugrad.backend import Backend
from plugrad.errors import BackendUnavailableError

from .probe import available


class CudaBackend(Backend):
    """NVIDIA GPUs. Devices are ``"cuda:0"``, ``"cuda:1"``, …; calls may return before the work is done."""

    name = "cuda"
    is_async = True
    numbered = True

    def __init__(self) -> None:
        reason = available()
        if reason is not True:
            raise BackendUnavailableError(f"backend 'cuda' is unavailable: {reason}")
