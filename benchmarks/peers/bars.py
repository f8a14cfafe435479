"""How many times faster than its peers plugrad is to be, by workload and threads.

"torch" and "jax" mean the best of their eager modes, layouts and optimizers unless the key names one of these.
"""

from __future__ import annotations

COMPILED: dict[tuple[str, int], dict[str, float]] = {
    ("mlp", 1): {"torch-plain": 1.5, "torch": 1.3, "jax": 1.15},
    ("mlp", 2): {"torch": 1.6, "jax": 1.4},
    ("cnn", 1): {"torch-plain": 3.0, "torch": 2.2, "jax": 5.0},
    ("resnet", 1): {"torch": 1.7, "torch-compile": 1.2, "jax": 2.3},
    ("transformer", 1): {"torch": 1.2, "jax": 1.5},
    ("lstm", 1): {"torch": 1.25, "jax": 1.4},
}
EAGER = {"torch": 1.0, "jax": 1.0}
CHAIN = {"torch": 3.0, "torch-compile": 2.0, "jax": 1.2}


def compiled(workload: str, threads: int) -> dict[str, float]:
    """The bars of a compiled step; those of one thread where there are none of their own."""
    return COMPILED.get((workload, threads), COMPILED[workload, 1])
