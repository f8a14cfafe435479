"""What layers with weights share: where a key comes from when none is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plugrad
from plugrad import Parameter, Tensor

Initialiser = Callable[..., Tensor]


def initial(
    initialiser: Initialiser, key: Tensor | None, shape: tuple[int, ...], dtype: Any, device: str | None
) -> Parameter:
    """A Parameter from an initialiser; a fresh key of the default generator, which ``plugrad.manual_seed`` restarts,
    stands in for None. It is drawn from on the host, so that the weights are the same on every device.
    """
    fresh = plugrad.random.generator().key(device="numpy") if key is None else key
    return Parameter(initialiser(fresh, shape, dtype=dtype, device=device))
