"""What this distribution declares. Imports nothing of CUDA: whether there is a GPU the probe says, when asked."""

from __future__ import annotations

from plugrad.plugins import Registrar, hookimpl

API = (1, 0)


@hookimpl
def plugrad_backends(registrar: Registrar) -> None:
    """The backend ``cuda``, preferred to every other where it is available."""
    registrar.backend(
        "cuda",
        target="plugrad_cuda.backend:CudaBackend",
        probe="plugrad_cuda.probe:available",
        api=API,
        priority=100,
    )
