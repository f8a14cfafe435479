"""Checks of hyper-parameters, with messages that say what was expected."""

from __future__ import annotations

import math
from typing import Any


def number(where: str, label: str, value: Any, low: float, below: float = math.inf) -> float:
    """``value`` as a float in [low, below); TypeError or ValueError that names it.

    >>> number("SGD", "momentum", 1, 0.0, 1.0)
    Traceback (most recent call last):
        ...
    ValueError: SGD: momentum is 1; it must be at least 0 and below 1
    """
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where}: {label} is {value!r}; give a number") from error
    if not low <= found < below:
        limit = f" and below {below:g}" if below < math.inf else ", and finite"
        raise ValueError(f"{where}: {label} is {value}; it must be at least {low:g}{limit}")
    return found
