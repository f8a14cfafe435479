"""Whole training steps under ``plugrad.compile`` and as they were written: the same losses, weights and state.

The bound on losses is 1e-6 relative: a compiled step may fuse and reorder nothing that moves a float32 loss by more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from steps.steps import Steps
from steps.workloads import WORKLOADS

import plugrad as pg
from plugrad.compiler import passes

DEVICES = [d for d, o in pg.plugins.available_backends().items() if d in ("numpy", "cpu") and o.available]
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "checkpoint": {"checkpoint": True, "dropout": 0.3},
    "per-example": {"per_example": True, "dropout": 0.3},
    "per-example-checkpoint": {"per_example": True, "checkpoint": True, "dropout": 0.3},
    "scan": {"loop": "scan", "dropout": 0.3},
    "scan-checkpoint": {"loop": "scan", "checkpoint": True, "dropout": 0.3},
}
FLAT = {"attention.k.bias"}
"""The loss does not depend on them (softmax ignores what all keys add), so their gradients are rounding, which Adam
scales up to steps of the learning rate."""

Step = Callable[[pg.Tensor, pg.Tensor], pg.Tensor]


def fits(workload: str, variant: str) -> bool:
    """Batch normalisation has no statistics of one example; only the LSTM has a loop to scan."""
    if variant.startswith("per-example"):
        return workload != "resnet"
    return workload == "lstm" or not variant.startswith("scan")


def cases() -> Iterator[Any]:
    """The functional style and the tape in all variants, the pure one plain and with dropout."""
    for workload in WORKLOADS:
        for variant in VARIANTS:
            for style in ("functional", "pure", "tape"):
                if fits(workload, variant) and (style != "pure" or variant in ("plain", "dropout")):
                    yield pytest.param(workload, variant, style, id=f"{workload}-{variant}-{style}")


def build(workload: str, device: str, variant: str = "dropout", style: str = "functional") -> Steps:
    module = WORKLOADS[workload]
    return module.build(device, 5, style=style, **module.SMALL, **VARIANTS[variant])


def walk(steps: Steps, step: Step, numbers: range) -> list[float]:
    """The losses of the steps with these numbers, over the batches in turn."""
    return [step(*steps.batches[i % len(steps.batches)]).item() for i in numbers]


def weights(steps: Steps) -> dict[str, np.ndarray]:
    """Parameters and Buffers by path, as they are now."""
    return {path: t.numpy().copy() for path, t in steps.model.state_dict().items() if path not in FLAT}


def next_bits() -> list[int]:
    """What the default generator would draw next."""
    return pg.random.bits(pg.random.generator().key(), (4,)).tolist()


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for path, value in wanted.items():
        np.testing.assert_allclose(found[path], value, rtol=1e-4, atol=1e-5, err_msg=path)


def check(make: Callable[[], Steps], n: int, moves: bool) -> None:
    """``n`` steps as written and ``n`` compiled ones, each from the start; ``moves``: in the handles of the model."""
    eager = make()
    start = weights(eager)
    want, drawn, end = walk(eager, eager.step(), range(n)), next_bits(), weights(eager)
    compiled = make()
    np.testing.assert_allclose(walk(compiled, compiled.compiled(), range(n)), want, rtol=1e-6)
    assert next_bits() == drawn
    same(weights(compiled), end)
    for path in eager.model.state_dict().keys() - FLAT:
        assert moves != np.array_equal(end[path], start[path]) or path not in dict(eager.model.named_parameters())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("workload", "variant", "style"), [*cases()])
def test_the_same_losses(workload: str, variant: str, style: str, device: str) -> None:
    check(lambda: build(workload, device, variant, style), 20, style != "pure")


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_fifty_steps(workload: str, device: str) -> None:
    check(lambda: build(workload, device), 50, True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_python_runs_while_staging_only(workload: str, device: str) -> None:
    steps, runs = build(workload, device), []

    def counted(f: Step) -> Step:
        @functools.wraps(f)
        def step(*args: Any) -> pg.Tensor:
            runs.append(f)
            return f(*args)

        return pg.compile(step)

    walk(steps, steps.make(counted), range(6))
    assert len(runs) == 1


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_what_changes_between_steps_is_followed(workload: str, device: str) -> None:
    """The learning rate, a weight that is assigned to, evaluation mode, and steps that are not compiled."""

    def losses(transform: Callable[[Step], Step]) -> tuple[list[float], dict[str, np.ndarray]]:
        steps = build(workload, device)
        step = steps.make(lambda f: alternated(f, transform(f)))
        found = walk(steps, step, range(4))
        steps.optimizer.learning_rate = 0.01
        found += walk(steps, step, range(4, 8))
        last = steps.model.last if hasattr(steps.model, "last") else steps.model.down
        last.weight.assign(last.weight * 0.5)
        found += walk(steps, step, range(8, 11))
        steps.model.eval()
        return found + walk(steps, step, range(11, 14)), weights(steps)

    def alternated(f: Step, g: Step) -> Step:
        """``g``, and at each third call ``f``."""
        calls = iter(range(14))
        return lambda x, y: (f if next(calls) % 3 == 2 else g)(x, y)

    want, end = losses(lambda f: f)
    found, reached = losses(pg.compile)
    np.testing.assert_allclose(found, want, rtol=1e-6)
    same(reached, end)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_last_batch_that_is_smaller(workload: str, device: str) -> None:
    def losses(make: Callable[[Steps], Step]) -> list[float]:
        steps = build(workload, device)
        whole = steps.batches
        x, y = whole[1]
        steps.batches = [whole[0], (x[:, :2] if workload == "lstm" else x[:2], y[:2])]
        return walk(steps, make(steps), range(6))

    np.testing.assert_allclose(losses(Steps.compiled), losses(Steps.step), rtol=1e-6)


# -- the tape inside compile, part by part


def gradients(steps: Steps) -> list[np.ndarray | None]:
    return [None if p.grad is None else p.grad.numpy() for p in steps.model.parameters()]


PARTS = {
    "backward": ["backward"],
    "backward and step": ["backward", "step"],
    "zero_grad first": ["zero_grad", "backward", "step"],
    "zero_grad last": ["backward", "step", "zero_grad"],
}


def squares(steps: Steps, x: pg.Tensor, y: pg.Tensor) -> pg.Tensor:
    """A loss in which some weights of the last layer have a gradient of zero."""
    return pg.mean((steps.model(x)[:, 0] - y) ** 2)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("part", PARTS)
def test_gradients_that_a_compiled_step_leaves(part: str, device: str) -> None:
    """Those that a step leaves in ``.grad`` are there for what follows: added to, read, or cleared."""

    def run(transform: Callable[[Step], Step]) -> tuple[list[float], Steps]:
        steps = build("mlp", device)

        def step(x: pg.Tensor, y: pg.Tensor) -> pg.Tensor:
            loss = squares(steps, x, y)
            for name in PARTS[part]:
                getattr(loss if name == "backward" else steps.optimizer, name)()
            return loss.detach()

        return walk(steps, transform(step), range(3)), steps

    want, eager = run(lambda f: f)
    found, compiled = run(pg.compile)
    np.testing.assert_allclose(found, want, rtol=1e-6)
    same(weights(compiled), weights(eager))
    for a, b in zip(gradients(compiled), gradients(eager), strict=True):
        assert (a is None) == (b is None) == (part == "zero_grad last")
        assert a is None or b is None or np.allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_gradients_are_accumulated_over_two_batches(device: str) -> None:
    """Two compiled backward passes, one eager step."""

    def run(transform: Callable[[Step], Step]) -> tuple[list[float], Steps]:
        steps, losses = build("mlp", device), []

        def accumulate(x: pg.Tensor, y: pg.Tensor) -> pg.Tensor:
            loss = squares(steps, x, y)
            loss.backward()
            return loss.detach()

        once = transform(accumulate)
        for _ in range(3):
            losses += walk(steps, once, range(2))
            steps.optimizer.step()
            steps.optimizer.zero_grad()
        return losses, steps

    want, eager = run(lambda f: f)
    found, compiled = run(pg.compile)
    np.testing.assert_allclose(found, want, rtol=1e-6)
    same(weights(compiled), weights(eager))


@pytest.mark.skipif("cpu" not in DEVICES, reason="plugrad-cpu is not installed")
def test_the_image_of_a_pooling_does_not_wait_for_its_backward() -> None:
    """The memory bar of the CNN: only booleans of its largest image are kept, and the losses stay."""
    module = WORKLOADS["cnn"]
    arenas, losses = [], []
    for left_out in ("split", ""):
        chosen = [p.name for p in passes.known() if p.name != left_out]
        steps = module.build("cpu", 0, batches=1, **module.FULL)
        step = steps.make(functools.partial(pg.compile, passes=chosen))
        losses.append(walk(steps, step, range(3)))
        arenas.append(max(p.arena for p in pg.explain(step).programs))
    assert arenas[1] < 0.8 * arenas[0] and losses[1] == losses[0]
