"""Runs a model without training it: means of loss and metrics over a dataset, and its outputs.

Leaves modes and tape as they were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

import plugrad

from .metrics import Mean, Metric, named
from .packing import to_array


def evaluate(
    model: plugrad.Module,
    data: Iterable[Any],
    loss: Callable[..., Any] | None = None,
    metrics: Mapping[str, Metric] | Iterable[Metric] = (),
) -> dict[str, float]:
    """Means over all examples of ``loss(model(x), *targets)`` and of each metric likewise, in evaluation mode.

    Raises ``ValueError`` if ``data`` gives no batch.
    """
    chosen, mean = named(metrics), Mean()
    with evaluating(model):
        for inputs, targets in batches(data, "evaluate"):
            outputs = model(inputs)
            values = {} if loss is None else {"loss": float(loss(outputs, *targets))}
            values.update({name: float(metric(outputs, *targets)) for name, metric in chosen.items()})
            mean.add(values, count(inputs))
    return mean.result()


def predict(model: plugrad.Module, data: Iterable[Any]) -> np.ndarray:
    """The model's outputs for all examples, stacked, as a NumPy array; targets in ``data`` are ignored."""
    with evaluating(model):
        return np.concatenate([to_array(model(inputs)) for inputs, _ in batches(data, "predict")])


@contextlib.contextmanager
def evaluating(model: plugrad.Module) -> Iterator[None]:
    """Evaluation mode and no tape inside; afterwards every module is back in its own mode, also one that was
    frozen by hand."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with plugrad.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def batches(data: Iterable[Any], caller: str) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Each batch as (inputs, targets); raises ``TypeError`` for a batch that is no tuple and ``ValueError`` if
    there is none at all."""
    check_walkable(data, caller)
    found = False
    for batch in data:
        found = True
        if not isinstance(batch, tuple | list) or not batch:
            raise TypeError(f"{caller}: data gave a {type(batch).__name__}; a batch is a tuple (inputs, targets, ...)")
        yield batch[0], tuple(batch[1:])
    if not found:
        raise ValueError(
            f"{caller}: data gave no batches; it may be empty, "
            "or a generator already used up (pass a DataLoader or a list)"
        )


def check_walkable(data: Any, caller: str) -> None:
    """Raise ``TypeError`` for what cannot be walked, and for a dataset, which would be walked example by example."""
    if isinstance(data, Iterable):
        return
    dataset = hasattr(data, "__getitem__")
    remedy = "wrap it in DataLoader(dataset, batch_size)" if dataset else "pass a DataLoader or a list"
    raise TypeError(f"{caller}: data is a {type(data).__name__}, which gives no batches; {remedy}")


def count(inputs: Any) -> int:
    """Examples in a batch: the first dimension."""
    shape = getattr(inputs, "shape", ())
    return int(shape[0]) if shape else 1
