"""``plugrad demo``: a small convolutional network learns scikit-learn's digits.

The only module that knows the sibling distributions. It imports them when the command runs, so the rest needs none.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import plugrad

from . import checkpoint
from .callbacks import Schedule
from .curves import plot_history, plot_predictions
from .errors import MissingExtraError
from .evaluation import predict
from .loop import fit
from .metrics import accuracy

_BATCH = 64
_LEARNING_RATE = 3e-3
_DROPOUT = 0.25


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line of ``plugrad demo`` and run it."""
    parser = argparse.ArgumentParser(
        prog="plugrad demo", description="Train a small convolutional network on handwritten digits."
    )
    parser.add_argument("--device", help="such as numpy, cpu or cuda:0 (default: the best backend here)")
    parser.add_argument("--epochs", type=int, default=20, help="walks over the training data (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("demo-output"), help="folder for pictures and model (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of initial weights, order and dropout (default: %(default)s)"
    )
    options = parser.parse_args(argv)
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    if not 0 <= options.seed < 2**32:
        parser.error("--seed must be in [0, 2**32)")
    if options.device is None:
        run(options.epochs, options.out, options.seed)
    else:
        with plugrad.device(options.device):
            run(options.epochs, options.out, options.seed)
    return 0


def run(epochs: int, out: Path, seed: int) -> float:
    """Train on the default device, write everything to ``out``, print the report, and return the accuracy on the
    held-out fifth."""
    data, nn, norm, optim = _siblings()
    plugrad.manual_seed(seed)
    training, held_out = _digits(data, seed)
    model = _network(nn, norm)
    optimizer = optim.Adam(model.parameters(), learning_rate=_LEARNING_RATE)
    parameters = model.parameters()
    size = sum(p.size for p in parameters)
    print(
        f"{len(training.dataset)} images to learn from, {len(held_out.dataset)} held out; "
        f"{size:,} parameters on {parameters[0].device}"
    )
    started = time.perf_counter()
    history = fit(
        model,
        optimizer,
        nn.functional.cross_entropy,
        training,
        epochs=epochs,
        validation=held_out,
        metrics=[accuracy],
        callbacks=[Schedule(_cosine)],
    )
    seconds = time.perf_counter() - started
    images, labels = held_out.dataset[np.arange(len(held_out.dataset))]
    outputs = predict(model, held_out)
    out.mkdir(parents=True, exist_ok=True)
    plot_history(history, out / "curve.png")
    plot_predictions(images, labels, outputs.argmax(-1), out / "predictions.png")
    checkpoint.save(out / "model.safetensors", model, optimizer, epochs=epochs, seed=seed)
    found = accuracy(outputs, labels)
    print(f"trained in {seconds:.1f} s")
    print(f"host fallbacks: {plugrad.fallback_report()}")
    print(f"wrote {out / 'curve.png'}, {out / 'predictions.png'}, {out / 'model.safetensors'}")
    print(f"test accuracy {found:.4f}", flush=True)
    return found


def _digits(data: Any, seed: int) -> tuple[Any, Any]:
    """Loaders of four fifths of the digits, in a new order each epoch, and of the held-out fifth."""
    digits = data.digits()
    training, held_out = data.split(digits, (0.8, 0.2), seed=0, stratify=digits.arrays[1])
    return data.DataLoader(training, _BATCH, shuffle=True, seed=seed), data.DataLoader(held_out, 256)


def _cosine(epoch: int, epochs: int) -> float:
    """The learning rate falls along half a cosine, so that the last epochs only polish."""
    return _LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * epoch / epochs))


def _network(nn: Any, norm: Any) -> Any:
    """(n, 1, 8, 8) images to (n, 10) scores."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        norm.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        norm.Dropout(_DROPOUT),
        nn.Linear(32 * 4 * 4, 10),
    )


def _siblings() -> tuple[Any, Any, Any, Any]:
    try:
        import plugrad_data
        import plugrad_nn
        import plugrad_norm
        import plugrad_optim
    except ModuleNotFoundError as error:
        missing = (error.name or "").replace("_", "-")
        raise MissingExtraError(f"demo: {missing} is not installed; pip install 'plugrad-train[demo]'") from error
    return plugrad_data, plugrad_nn, plugrad_norm, plugrad_optim
