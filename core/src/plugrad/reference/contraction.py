"""Matrix products. Low-precision floats are computed in float32."""

from __future__ import annotations

from typing import Any

import numpy as np


def _matmul(a: Any, b: Any) -> Any:
    with np.errstate(over="ignore", invalid="ignore"):
        if a.dtype.name in ("float16", "bfloat16"):
            return np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
        return np.matmul(a, b)


KERNELS: dict[str, Any] = {"matmul": _matmul}
