"""The state of an optimizer as a flat dict, and back: names and shapes are checked first. Knows no update rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plugrad as pg
from plugrad.errors import ShapeError

from .structure import Leaves

State = dict[str, dict[str, pg.Tensor]]
Shapes = dict[str, tuple[int, ...]]


def flattened(state: State) -> dict[str, Any]:
    """Moments as plain tensors, counts as ints, under ``path.slot``."""
    found: dict[str, Any] = {}
    for path, slots in state.items():
        for slot, t in slots.items():
            found[f"{path}.{slot}"] = int(t.item()) if slot == "step" else t.detach()
    return found


def check_state(where: str, moments: tuple[str, ...], leaves: Leaves, state: Any) -> None:
    """ShapeError unless a state of ``init`` or ``update`` fits the parameters."""
    if not isinstance(state, dict) or not all(isinstance(slots, dict) for slots in state.values()):
        raise ShapeError(
            f"{where}: state is a {type(state).__name__}, not what init(params) returns; "
            "the arguments are (grads, state, params)"
        )
    given = {f"{path}.{slot}": tuple(t.shape) for path, slots in state.items() for slot, t in slots.items()}
    problems = _differences(_owed(moments, leaves), given)
    if not problems and state.keys() != leaves.keys():
        problems = ["it is of other parameters"]
    if problems:
        raise ShapeError(f"{where}: the state does not fit params: {'; '.join(problems)}. Make it with init(params)")


def check_saved(where: str, moments: tuple[str, ...], leaves: Leaves, state: Mapping[str, Any]) -> None:
    """ShapeError that names all missing, unexpected and mis-shaped entries; ValueError for a count that is none."""
    given = {key: tuple(getattr(value, "shape", ())) for key, value in state.items()}
    problems = _differences({"learning_rate": (), **_owed(moments, leaves)}, given)
    if problems:
        raise ShapeError(
            f"{where}: the state does not fit this optimizer: {'; '.join(problems)}. "
            "Make the optimizer, and the model, as they were when it was saved"
        )
    for path in leaves if moments else ():
        count = float(state[f"{path}.step"])
        if count < 0 or count != int(count):
            raise ValueError(f"{where}: {f'{path}.step'!r} is {count:g}; a count of steps is a whole number, 0 or more")


def restore(moments: tuple[str, ...], state: State, saved: Mapping[str, Any]) -> None:
    """Assign a checked flat dict to the handles of a state. Equal counts may share a handle; unequal ones part."""
    ready = []
    for path, slots in state.items():
        for slot in moments:
            handle, value = slots[slot], saved[f"{path}.{slot}"]
            value = value.detach().to(handle.device) if isinstance(value, pg.Tensor) else value
            ready.append((handle, handle.adopt(value)))
    for handle, value in ready:
        handle.assign(value)
    counts: dict[tuple[int, int], pg.Tensor] = {}
    used: set[int] = set()
    for path, slots in state.items() if moments else ():
        handle, count = slots["step"], int(saved[f"{path}.step"])
        key = (id(handle), count)
        if key not in counts:
            counts[key] = handle.detach() if id(handle) in used else handle
            used.add(id(handle))
        slots["step"] = counts[key]
    for (_, count), handle in counts.items():
        handle.assign(pg.asarray(count, device=handle.device))


def _owed(moments: tuple[str, ...], leaves: Leaves) -> Shapes:
    found: Shapes = {}
    for path, p in leaves.items() if moments else ():
        found.update({f"{path}.{slot}": tuple(p.shape) for slot in moments})
        found[f"{path}.step"] = ()
    return found


def _differences(owed: Shapes, given: Shapes) -> list[str]:
    found = [f"missing {k!r}" for k in owed if k not in given] + [f"unexpected {k!r}" for k in given if k not in owed]
    for k, shape in owed.items():
        if k in given and given[k] != shape:
            found.append(f"{k!r} has shape {given[k]}, {shape} is needed")
    return found
