"""torch's candidates, with the names of plugrad's models, so that weights are loaded by name.

"torch-plain" is Adam as it comes, "torch-fused" its fused form, "torch-last" that with channels_last tensors,
"torch-compile" the fused form with the model under torch.compile.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .reference import Built, Reference, in_turn


class MLP(nn.Module):
    def __init__(self, sizes: dict[str, Any]) -> None:
        super().__init__()
        a, b, c, d = sizes["widths"]
        self.hidden = nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c), nn.ReLU())
        self.last = nn.Linear(c, d)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.hidden(x))


class CNN(nn.Module):
    def __init__(self, sizes: dict[str, Any]) -> None:
        super().__init__()
        a, b, c = sizes["channels"]
        self.first = nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(b, c, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.dense = nn.Linear(c * (sizes["size"] // 4) ** 2, sizes["hidden"])
        self.last = nn.Linear(sizes["hidden"], sizes["classes"])

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.dense(self.second(self.first(x)).flatten(1))))


class Block(nn.Module):
    def __init__(self, taken: int, given: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(taken, given, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(given)
        self.second = nn.Conv2d(given, given, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(given)
        self.shortcut = nn.Conv2d(taken, given, 1, stride, bias=False) if (stride, given) != (1, taken) else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.second_norm(self.second(F.relu(self.first_norm(self.first(x)))))
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(nn.Module):
    def __init__(self, sizes: dict[str, Any]) -> None:
        super().__init__()
        c, stem, *widths = sizes["channels"]
        self.stem, self.stem_norm = nn.Conv2d(c, stem, 3, 1, 1, bias=False), nn.BatchNorm2d(stem)
        pairs = zip([stem, *widths], widths)
        self.blocks = nn.Sequential(*[Block(a, b, 1 if i == 0 else 2) for i, (a, b) in enumerate(pairs)])
        self.last = nn.Linear(widths[-1], sizes["classes"])

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.blocks(F.relu(self.stem_norm(self.stem(x)))).mean((2, 3)))


class Transformer(nn.Module):
    """Query, key and value are one projection."""

    def __init__(self, sizes: dict[str, Any]) -> None:
        super().__init__()
        d, self.heads = sizes["features"], sizes["heads"]
        self.attention_norm, self.mlp_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, t, d)
        x = x + self.out(y)
        return x + self.down(F.gelu(self.up(self.mlp_norm(x))))


class LSTM(nn.Module):
    """torch's layer has two biases; the second stays zero."""

    def __init__(self, sizes: dict[str, Any]) -> None:
        super().__init__()
        self.cells = nn.LSTM(sizes["features"], sizes["cells"])
        nn.init.zeros_(self.cells.bias_hh_l0)
        self.cells.bias_hh_l0.requires_grad_(False)
        self.last = nn.Linear(sizes["cells"], sizes["classes"])

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.cells(x)[0][-1])


MODELS = {"mlp": MLP, "cnn": CNN, "resnet": ResNet, "transformer": Transformer, "lstm": LSTM}
RENAMED = {
    "inputs.weight": "cells.weight_ih_l0",
    "inputs.bias": "cells.bias_ih_l0",
    "hidden.weight": "cells.weight_hh_l0",
    "attention.out.weight": "out.weight",
    "attention.out.bias": "out.bias",
}


def _weights(workload: str, given: Reference) -> dict[str, Tensor]:
    """By torch's names."""
    held = {name.replace(".layers.", "."): torch.from_numpy(value) for name, value in given.weights.items()}
    if workload == "transformer":
        for kind in ("weight", "bias"):
            held[f"qkv.{kind}"] = torch.cat([held.pop(f"attention.{part}.{kind}") for part in "qkv"])
    return {RENAMED.get(name, name): value for name, value in held.items()}


def build(candidate: str, workload: str, given: Reference, threads: int) -> Built:
    """One of the candidates above."""
    torch.set_num_threads(threads)
    model = MODELS[workload](given.sizes)
    held = _weights(workload, given)
    model.load_state_dict(held, strict=False)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if trained.keys() != held.keys():
        raise ValueError(f"{candidate}: weights {sorted(trained.keys() ^ held.keys())} are on one side only")
    batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in given.batches]
    if candidate == "torch-last":
        model = model.to(memory_format=torch.channels_last)
        batches = [(x.contiguous(memory_format=torch.channels_last), y) for x, y in batches]
    optimizer = torch.optim.Adam(trained.values(), lr=1e-3, fused=candidate != "torch-plain")
    run = torch.compile(model) if candidate == "torch-compile" else model
    measure = F.mse_loss if workload == "transformer" else F.cross_entropy

    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = measure(run(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    call = in_turn(step, batches)
    return call, lambda: float(call())
