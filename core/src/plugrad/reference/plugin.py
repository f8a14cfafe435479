"""Registration of the NumPy reference backend.

It lies below ``plugrad.plugins``, so it makes its own marker, which is pluggy's.
"""

from __future__ import annotations

from typing import Any

import pluggy

API = (1, 0)
hookimpl = pluggy.HookimplMarker("plugrad")


@hookimpl
def plugrad_backends(registrar: Any) -> None:
    """The reference backend; every other one is preferred to it."""
    registrar.backend("numpy", target="plugrad.reference.backend:NumpyBackend", api=API, priority=0)
