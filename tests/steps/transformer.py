"""A transformer block, normalised first: causal attention and a GELU MLP; batch 8, length 128, 256 features."""

from __future__ import annotations

import plugrad as pg
import plugrad_nn as nn
import plugrad_norm as norm

from . import losses
from .steps import Steps, assemble, normals

FULL = {"length": 128, "features": 256, "heads": 4, "batch": 8}
SMALL = {"length": 6, "features": 16, "heads": 2, "batch": 3}


class Block(pg.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): (batch, length, features) -> the same."""

    def __init__(self, features: int, heads: int, dropout: float, checkpoint: bool) -> None:
        self.attention_norm, self.mlp_norm = norm.LayerNorm(features), norm.LayerNorm(features)
        self.attention = nn.MultiHeadAttention(features, heads, causal=True)
        self.up, self.down = nn.Linear(features, 4 * features), nn.Linear(4 * features, features)
        self.dropout, self.checkpoint = norm.Dropout(dropout), checkpoint

    def mlp(self, x: pg.Tensor) -> pg.Tensor:
        """The second branch."""
        return self.dropout(self.down(nn.gelu(self.up(self.mlp_norm(x)))))

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x)))
        return x + (pg.checkpoint(self.mlp)(x) if self.checkpoint else self.mlp(x))


def build(
    device: str,
    seed: int,
    *,
    style: str = "functional",
    length: int = FULL["length"],
    features: int = FULL["features"],
    heads: int = FULL["heads"],
    batch: int = FULL["batch"],
    batches: int = 4,
    dropout: float = 0.0,
    checkpoint: bool = False,
    per_example: bool = False,
) -> Steps:
    """The mean squared distance from random targets."""
    shape = (batch, length, features)
    arrays = list(zip(normals(seed, batches, shape), normals(seed + 1, batches, shape)))
    loss = losses.per_example(nn.mse_loss) if per_example else losses.of_batch(nn.mse_loss)
    make = lambda: Block(features, heads, dropout, checkpoint)  # noqa: E731
    return assemble(make, loss, arrays, device=device, seed=seed, style=style)
