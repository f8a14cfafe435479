"""What all candidates start from, in one file: weights by plugrad's names, batches, and the first losses from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Built = tuple[Callable[[], Any], Callable[[], float]]
"""A call that takes a step and waits for it, and one that takes a step and gives the loss as a number."""
TOLERANCE = 1e-4
STATE = ("running_mean", "running_var", "num_batches")


@dataclass
class Reference:
    """``weights`` by name, without running statistics; ``batches`` pairs (x, y); ``losses`` of the first steps;
    ``sizes`` as the workload's builder takes them.
    """

    weights: dict[str, np.ndarray]
    batches: list[tuple[np.ndarray, np.ndarray]]
    losses: np.ndarray
    sizes: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write all to one .npz file."""
        named = {f"weight {name}": value for name, value in self.weights.items()}
        xs = {f"x {i}": x for i, (x, _) in enumerate(self.batches)}
        ys = {f"y {i}": y for i, (_, y) in enumerate(self.batches)}
        np.savez(path, losses=self.losses, sizes=json.dumps(self.sizes), **named, **xs, **ys)

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Read what ``save`` wrote."""
        with np.load(path) as file:
            held = {name: file[name] for name in file.files}
        weights = {name.removeprefix("weight "): v for name, v in held.items() if name.startswith("weight ")}
        count = sum(name.startswith("x ") for name in held)
        batches = [(held[f"x {i}"], held[f"y {i}"]) for i in range(count)]
        return cls(weights, batches, held["losses"], json.loads(str(held["sizes"])))


def trained(state: dict[str, Any]) -> dict[str, np.ndarray]:
    """The weights of a state_dict as arrays; running statistics start alike everywhere."""
    return {name: np.asarray(t.numpy()) for name, t in state.items() if not name.endswith(STATE)}


def in_turn(step: Callable[..., Any], batches: list[Any]) -> Callable[[], Any]:
    """A function of nothing that takes a step on the next batch."""
    number = -1

    def call() -> Any:
        nonlocal number
        number = (number + 1) % len(batches)
        return step(*batches[number])

    return call
