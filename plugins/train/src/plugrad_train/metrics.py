"""Numbers that tell how good outputs are: ``metric(outputs, *targets)`` is the mean over a batch.

They run on the host, unrecorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from plugrad.errors import ShapeError

from .packing import to_array

Metric: TypeAlias = Callable[..., Any]


def accuracy(outputs: Any, labels: Any) -> float:
    """The share of rows whose largest output is at the label: outputs (..., classes), labels (...) of integers.

    Raises ``ShapeError`` if the shapes do not go together.

    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """
    scores, wanted = to_array(outputs), to_array(labels)
    if scores.ndim == 0 or scores.shape[:-1] != wanted.shape or wanted.size == 0:
        raise ShapeError(
            f"accuracy: outputs {scores.shape} and labels {wanted.shape}; pass outputs (..., "
            "classes) and integer labels (...), at least one"
        )
    return float(np.mean(scores.argmax(-1) == wanted))


def named(metrics: Mapping[str, Metric] | Iterable[Metric]) -> dict[str, Metric]:
    """Metrics by name; without a mapping the name is the function's.

    >>> list(named([accuracy]))
    ['accuracy']
    """
    if isinstance(metrics, Mapping):
        return dict(metrics)
    found: dict[str, Metric] = {}
    for metric in metrics:
        name = getattr(metric, "__name__", type(metric).__name__)
        if name in found:
            raise ValueError(f"metrics: two are called {name!r}; pass a dict of names")
        found[name] = metric
    return found


class Mean:
    """Means of named numbers over batches, each batch counting as many times as it has examples."""

    def __init__(self) -> None:
        self.examples = 0
        self._sums: dict[str, float] = {}

    def add(self, values: Mapping[str, float], examples: int) -> None:
        """Take in a batch."""
        self.examples += examples
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value) * examples

    def result(self, prefix: str = "") -> dict[str, float]:
        """The means so far."""
        return {prefix + name: total / max(self.examples, 1) for name, total in self._sums.items()}
