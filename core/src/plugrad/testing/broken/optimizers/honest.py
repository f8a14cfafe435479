"""Right optimizers, which pass every check, and which the faulty ones derive from. They owe nothing to a base class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import plugrad as pg
from plugrad.errors import ShapeError

from ...kit.declare import OptimizerSample
from ..fault import Fault
from ..seeded import NAME, Class, seeded

Slots = dict[str, pg.Tensor]
Placed = Callable[[pg.Tensor], pg.Tensor]
"""A scalar on the host, as a factor of a parameter: in its working dtype, on its device."""

DECAY: dict[str, Any] = {"weight_decay": 0.2}
EPSILON = 0.05


def working(dtype: np.dtype) -> np.dtype:
    """The dtype in which a parameter is moved."""
    return pg.float32 if dtype in (pg.float16, pg.bfloat16) else dtype


class Momentum:
    """m' = 0.9 m + d / (1 - 0.9^t) and p' = p - rate m', with d = g + weight_decay p."""

    unique = True
    moment_device: str | None = None

    def __init__(self, params: Any = None, learning_rate: float = 0.05, weight_decay: float = 0.0) -> None:
        self.rate = pg.Buffer(pg.asarray(learning_rate, dtype="float64", device="numpy"))
        self.weight_decay = weight_decay
        self.handles = [] if params is None else self.trained(params)
        self.state = [] if params is None else self.init(params)

    @property
    def learning_rate(self) -> float:
        """What the next step multiplies with."""
        return float(self.rate.item())

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.rate.assign(pg.asarray(value, dtype="float64", device="numpy"))

    def trained(self, params: Any) -> list[Any]:
        """The parameters of a tree."""
        leaves, on, _ = pg.tree.flatten(params, unique=self.unique)
        return [t for t, wanted in zip(leaves, on, strict=True) if wanted]

    def moment_dtype(self, dtype: np.dtype) -> np.dtype:
        """The dtype of the moments of a parameter."""
        return working(dtype)

    def init(self, params: Any) -> list[Slots]:
        """The state of each parameter before the first step."""
        return [
            {
                "m": pg.zeros(p.shape, dtype=self.moment_dtype(p.dtype), device=self.moment_device or p.device),
                "t": pg.asarray(0, device="numpy"),
            }
            for p in self.trained(params)
        ]

    def count(self, slots: Slots, number: int) -> pg.Tensor:
        """Of the step that is made, for parameter ``number``."""
        return slots["t"] + 1

    def size(self, number: int) -> pg.Tensor:
        """What the direction is multiplied with."""
        return self.rate

    def decayed(self, p: pg.Tensor, g: pg.Tensor) -> pg.Tensor:
        """The gradient with its weight decay."""
        return g + self.weight_decay * p if self.weight_decay else g

    def moment(self, p: pg.Tensor, g: pg.Tensor, m: pg.Tensor, t: pg.Tensor, placed: Placed) -> pg.Tensor:
        """The next moment."""
        return 0.9 * m + self.decayed(p, g) / placed(1.0 - 0.9 ** t.astype("float64"))

    def direction(self, p: pg.Tensor, g: pg.Tensor, m: pg.Tensor, t: pg.Tensor, placed: Placed) -> pg.Tensor:
        """Against which the parameter moves; ``m`` is the next moment."""
        return m

    def moved(self, p: pg.Tensor, g: pg.Tensor, slots: Slots, number: int) -> tuple[pg.Tensor, Slots]:
        """A parameter and its state after a step."""
        work = working(p.dtype)

        def placed(scalar: pg.Tensor) -> pg.Tensor:
            return scalar.astype(work).to(p.device)

        t = self.count(slots, number)
        wide, grad = p.astype(work), g.astype(work)
        m = self.moment(wide, grad, slots["m"].astype(work).to(p.device), t, placed)
        new = (wide - placed(self.size(number)) * self.direction(wide, grad, m, t, placed)).astype(p.dtype)
        return new, {"m": m.astype(slots["m"].dtype).to(slots["m"].device), "t": t}

    def checked(self, ps: Sequence[Any], gs: Sequence[Any]) -> None:
        """ShapeError unless gradients fit."""
        for p, g in zip(ps, gs, strict=True):
            if g is not None and g.shape != p.shape:
                raise ShapeError(f"Momentum: a gradient of shape {g.shape} for {p.shape}")

    def update(self, grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """(parameters, state) after a step."""
        leaves, on, build = pg.tree.flatten(params, unique=self.unique)
        gs = pg.tree.leaves_like(build, grads, "Momentum: the gradients")
        self.checked([p for p, w in zip(leaves, on, strict=True) if w], [g for g, w in zip(gs, on, strict=True) if w])
        new: list[Any] = []
        after: list[Slots] = []
        for p, g, wanted in zip(leaves, gs, on, strict=True):
            if not wanted:
                new.append(p)
                continue
            slots = state[len(after)]
            moved, slots = (p, slots) if g is None else self.moved(p, g, slots, len(after))
            new.append(moved)
            after.append(slots)
        return build(new), after

    def step(self) -> None:
        """Move the parameters along their gradients."""
        self.checked(self.handles, [p.grad for p in self.handles])
        with pg.no_grad():
            for i, p in enumerate(self.handles):
                if p.grad is not None:
                    new, self.state[i] = self.moved(p, p.grad, self.state[i], i)
                    p.assign(new)

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` goes on from."""
        flat = {f"{i}.{k}": t.detach() for i, slots in enumerate(self.state) for k, t in slots.items()}
        return {"learning_rate": self.learning_rate, **flat}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from a state dict."""
        own = Momentum.state_dict(self)
        if own.keys() != saved.keys():
            raise ShapeError(f"Momentum: the state has {sorted(saved)}, {sorted(own)} is needed")
        for k, t in own.items():
            if tuple(getattr(saved[k], "shape", ())) != tuple(getattr(t, "shape", ())):
                raise ShapeError(f"Momentum: {k} has another shape")
        self.learning_rate = float(saved["learning_rate"])
        for i, slots in enumerate(self.state):
            self.state[i] = {k: t.copy().assign(saved[f"{i}.{k}"]) for k, t in slots.items()}


class Descent(Momentum):
    """p' = p - rate (g + weight_decay p)"""

    def direction(self, p: pg.Tensor, g: pg.Tensor, m: pg.Tensor, t: pg.Tensor, placed: Placed) -> pg.Tensor:
        """The gradient."""
        return self.decayed(p, g)


class Decoupled(Momentum):
    """Momentum, and weights that shrink by rate weight_decay."""

    def decayed(self, p: pg.Tensor, g: pg.Tensor) -> pg.Tensor:
        """The gradient alone."""
        return g

    def direction(self, p: pg.Tensor, g: pg.Tensor, m: pg.Tensor, t: pg.Tensor, placed: Placed) -> pg.Tensor:
        """The moment, and what the weight shrinks by."""
        return m + self.weight_decay * p


class Adaptive(Momentum):
    """m' = 0.9 m + 0.1 g^2 and p' = p - rate g / (sqrt(m' / (1 - 0.9^t)) + epsilon)"""

    def moment(self, p: pg.Tensor, g: pg.Tensor, m: pg.Tensor, t: pg.Tensor, placed: Placed) -> pg.Tensor:
        """The mean of squares."""
        return 0.9 * m + 0.1 * g * g

    def direction(self, p: pg.Tensor, g: pg.Tensor, m: pg.Tensor, t: pg.Tensor, placed: Placed) -> pg.Tensor:
        """The gradient over the root of the mean of squares."""
        return g / (pg.sqrt(m / placed(1.0 - 0.9 ** t.astype("float64"))) + EPSILON)


def momentum(rate: float = 0.05, decay: float = 0.0, decoupled: float = 0.0) -> Callable[..., Any]:
    """A step of Momentum, or of Decoupled."""

    def one(p: Any, g: Any, memory: dict[str, Any], step: int) -> Any:
        memory["m"] = 0.9 * memory.get("m", 0.0) + (g + decay * p) / (1 - 0.9**step)
        return p * (1 - rate * decoupled) - rate * memory["m"]

    return one


def descent(p: Any, g: Any, memory: dict[str, Any], step: int) -> Any:
    """A step of Descent."""
    return p - 0.05 * g


def adaptive(p: Any, g: Any, memory: dict[str, Any], step: int) -> Any:
    """A step of Adaptive."""
    memory["m"] = 0.9 * memory.get("m", 0.0) + 0.1 * g**2
    return p - 0.05 * g / (np.sqrt(memory["m"] / (1 - 0.9**step)) + EPSILON)


REFERENCES = {Descent: descent, Adaptive: adaptive, Decoupled: momentum(), Momentum: momentum()}


def sampled(cls: type, name: str = NAME, **about: Any) -> OptimizerSample:
    """The sample of a class."""
    reference = next(REFERENCES[base] for base in cls.__mro__ if base in REFERENCES)
    return OptimizerSample(**{"name": name, "make": cls, "reference": reference, **about})


def fault(into: list[Fault], rules: str, *says: str, **about: Any) -> Callable[[Class], Class]:
    """Decorator of a faulty optimizer."""
    return seeded(into, sampled, rules, *says, **about)


_L2: dict[str, Any] = {"config": DECAY, "decay": "gradient", "minimises": False}
HONEST = {
    "momentum": [
        sampled(Momentum, "momentum"),
        sampled(Momentum, "momentum", config={"learning_rate": 0.02}, reference=momentum(0.02)),
        sampled(Momentum, "momentum", reference=momentum(decay=0.2), **_L2),
        sampled(Momentum, "momentum", reference=None),
    ],
    "descent": [sampled(Descent, "descent")],
    "adaptive": [sampled(Adaptive, "adaptive")],
    "decoupled": [sampled(Decoupled, "decoupled", **{**_L2, "decay": "parameter"}, reference=momentum(decoupled=0.2))],
}
"""Right optimizers, which pass every check: samples by name."""
