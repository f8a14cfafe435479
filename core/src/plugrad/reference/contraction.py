"""Matrix products. Low-precision floats are computed in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from .reduction import silent, wide


@silent
def _matmul(a: Any, b: Any) -> Any:
    return np.matmul(a, b, dtype=wide(a)).astype(a.dtype, copy=False)


KERNELS: dict[str, Any] = {"matmul": _matmul}
