"""Train on scikit-learn's digits and print the accuracy on the held-out fifth, and what ran on the host.

python train.py mlp jax_first      a dense net on the dozen kernels of the first form
python train.py cnn jax            a convolutional net on the second form
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import plugrad as pg
import plugrad_nn as nn
import plugrad_optim as optim

BATCH, EPOCHS = 64, 16


def digits() -> list[np.ndarray]:
    """Training images, test images, training labels, test labels; an image is (1, 8, 8), from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)


def network(kind: str) -> nn.Sequential:
    """Images (n, 1, 8, 8) to scores (n, 10)."""
    if kind == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def train(kind: str) -> float:
    """The accuracy on the held-out images, after training on the default device."""
    pg.manual_seed(0)
    order = np.random.default_rng(0)
    images, test_images, labels, test_labels = digits()
    net = network(kind)
    optimizer = optim.Adam(net.parameters(), learning_rate=3e-3)
    for epoch in range(EPOCHS):
        mixed = order.permutation(len(images) // BATCH * BATCH)  # whole batches: one shape to compile for
        for rows in mixed.reshape(-1, BATCH):
            net.zero_grad()
            loss = nn.functional.cross_entropy(net(pg.asarray(images[rows])), pg.asarray(labels[rows]))
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1:2d}  loss {loss.item():.4f}", flush=True)
    return float(np.mean(net(pg.asarray(test_images)).detach().numpy().argmax(-1) == test_labels))


def main() -> None:
    """Train and report."""
    kind, device = sys.argv[1:]
    warnings.simplefilter("ignore", pg.errors.FallbackWarning)  # the report says it all
    started = time.perf_counter()
    with pg.device(device):
        accuracy = train(kind)
    print(f"{kind} on {device}: {time.perf_counter() - started:.1f} s")
    print(pg.fallback_report())
    print(f"test accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
