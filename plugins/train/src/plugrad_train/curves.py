"""Pictures of a run, written to files. matplotlib is imported when one is drawn, and its global state is left alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plugrad.errors import ShapeError

from .errors import MissingExtraError
from .history import History
from .packing import to_array

_NOT_CURVES = ("learning_rate", "seconds", "images_per_second")
_RIGHT, _WRONG = "#2a6f3c", "#c0271d"


def plot_history(history: History | Mapping[str, Sequence[float]], path: str | os.PathLike[str]) -> None:
    """Draw the learning curves over epochs: a panel for the loss and one for each metric, training beside validation.

    Raises ``ValueError`` if there is no epoch to draw, and ``MissingExtraError`` without matplotlib.
    """
    names = history.names() if isinstance(history, History) else list(history)
    panels = list(dict.fromkeys(name.removeprefix("validation_") for name in names if name not in _NOT_CURVES))
    if not panels:
        raise ValueError("plot_history: the history is empty; train for at least one epoch")
    figure = _figure("plot_history", 4.8 * len(panels), 3.6)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name, label in ((panel, "training"), (f"validation_{panel}", "validation")):
            if name in names:
                values = history[name]
                axes.plot(range(1, len(values) + 1), values, marker="." if len(values) < 40 else "", label=label)
        axes.set_xlabel("epoch")
        axes.set_title(panel)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def plot_predictions(
    images: Any,
    labels: Any,
    predicted: Any,
    path: str | os.PathLike[str],
    *,
    limit: int = 40,
    columns: int = 10,
    names: Sequence[str] | None = None,
) -> None:
    """Draw up to ``limit`` images under their predicted labels; a wrong one is red and framed, with the true one in
    brackets.

    images     (n, rows, columns), (n, 1, rows, columns) or, in colour, (n, 3, rows, columns)
    labels     true labels, integers of shape (n,); ``predicted`` likewise
    names      of the classes; without them the numbers are shown

    Raises ``ShapeError`` if the shapes do not go together, and ``MissingExtraError`` without matplotlib.
    """
    pixels, true, guess = _pixels(to_array(images)), to_array(labels), to_array(predicted)
    if true.shape != (len(pixels),) or guess.shape != true.shape or not true.size:
        raise ShapeError(
            f"plot_predictions: {len(pixels)} images, labels {true.shape}, predicted {guess.shape}; "
            "pass one of each, at least one"
        )
    shown = min(limit, len(pixels))
    across = min(columns, shown)
    down = -(-shown // across)
    figure = _figure("plot_predictions", max(1.1 * across, 4.4), 1.35 * down + 0.4)
    cells = figure.subplots(down, across, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    for axes, image, wanted, got in zip(cells[:shown], pixels, true.tolist(), guess.tolist(), strict=False):
        _draw(axes, image, *(str(names[k]) if names else str(k) for k in (wanted, got)))
    right = int(np.sum(true == guess))
    figure.supxlabel(f"title: predicted; red: wrong, true label in brackets. {right} of {len(true)} right", fontsize=8)
    figure.savefig(path, dpi=120)


def _draw(axes: Any, image: np.ndarray, wanted: str, got: str) -> None:
    wrong = wanted != got
    colour = _WRONG if wrong else _RIGHT
    axes.imshow(image, cmap="gray_r", interpolation="nearest")
    axes.set_title(f"{got} ({wanted})" if wrong else got, color=colour, fontsize=9)
    if wrong:
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        for side in axes.spines.values():
            side.set(color=colour, linewidth=2)


def _pixels(images: np.ndarray) -> np.ndarray:
    """(n, rows, columns) or (n, rows, columns, 3)."""
    if images.ndim == 4 and images.shape[1] == 1:
        return images[:, 0]
    if images.ndim == 4 and images.shape[1] == 3:
        return np.moveaxis(images, 1, -1)
    if images.ndim == 3:
        return images
    raise ShapeError(
        f"plot_predictions: images have shape {images.shape}; pass (n, rows, columns) or (n, 1 or 3, rows, columns)"
    )


def _figure(caller: str, width: float, height: float) -> Any:
    """A figure that belongs to no window and to no pyplot."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(f"{caller}: matplotlib is not installed; pip install 'plugrad-train[plot]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
