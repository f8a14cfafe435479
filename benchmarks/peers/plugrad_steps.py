"""plugrad's candidates: the steps of ``tests/steps``, as written and compiled."""

from __future__ import annotations

import sys

import numpy as np

from .reference import Built, Reference, in_turn, trained
from .timing import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from steps.workloads import WORKLOADS

FIRST = 3
"""Steps whose losses are compared: one tells about the forward, the next about gradients and optimizer."""


def reference(workload: str) -> Reference:
    """From the reference backend, eager."""
    module = WORKLOADS[workload]
    steps = module.build("numpy", 0, **module.FULL)
    weights, step = trained(steps.model.state_dict()), steps.step()
    losses = np.array([step(*batch).item() for batch in steps.batches[:FIRST]])
    batches = [(x.numpy(), y.numpy()) for x, y in steps.batches]
    return Reference(weights, batches, losses, dict(module.FULL))


def build(candidate: str, workload: str, given: Reference, device: str) -> Built:
    """Names are "plugrad" with "-compiled", "-pure", "-tape" behind: the step is functional unless the name says
    otherwise. "-scan" is for the LSTM alone, whose loop it chooses.
    """
    style = next((s for s in ("pure", "tape") if s in candidate), "functional")
    module = WORKLOADS[workload]
    loop = {"loop": "scan"} if "scan" in candidate else {}
    steps = module.build(device, 0, style=style, **module.FULL, **loop)
    own = dict(steps.model.named_parameters())
    for name, value in given.weights.items():
        own[name].assign(value)
    call = in_turn(steps.compiled() if "compiled" in candidate else steps.step(), steps.batches)
    return call, lambda: float(call().item())
