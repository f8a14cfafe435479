"""Every test runs on each device of the ``device`` fixture. A source of numbers, and a spy on decompositions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as pg
import plugrad_nn  # noqa: F401  registers the ops that are spied on


@pytest.fixture(autouse=True)
def _everywhere(device: str) -> None:
    """Also the tests that do not name the device run on each."""


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


class Spy:
    """Which of the named ops were decomposed, and whether each was whole until no transformation was left around it."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.torn: set[str] = set()

    def wrap(self, op: pg.Op) -> Callable[..., Any]:
        decompose = op.decompose

        def spied(*xs: pg.Tensor, **attrs: Any) -> Any:
            self.names.add(op.name)
            if any(x.tr is not None for x in xs):
                self.torn.add(op.name)
            return decompose(*xs, **attrs)

        return spied


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """Watches the decompositions of this package's ops."""
    found = Spy()
    for name, op in pg.OPS.items():
        if name.startswith("nn.") and op.decompose is not None:
            monkeypatch.setattr(op, "decompose", found.wrap(op))
    return found
