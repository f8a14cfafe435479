"""The base of optimizers: pure ``init`` and ``update`` over trees, and ``step()`` over them for ``backward()``.

The learning rate is a Buffer and the count of steps a tensor, both on the reference backend, as random generators are:
a staged step reads them anew at each call, and nothing has to be made again when they change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import plugrad as pg
from plugrad.errors import ConcretizationError, RecordingError, ShapeError, StateError

from . import saving, structure
from .checks import number
from .ops import working_dtype

HOST = "numpy"
Scalars = tuple[pg.Tensor, ...]
Slots = dict[str, pg.Tensor]
State = dict[str, Slots]


class Optimizer:
    """A subclass names its ``moments``, says what numbers a step needs (``scalars``), and takes it (``advance``).

    ``params`` is a Module, a Parameter, or a list, tuple or dict of these; it may be left out where only ``init`` and
    ``update`` are used. State is a dict: for each parameter's path, its moments and ``step``, the count of its steps.
    ``TypeError`` for a subclass without ``advance``.

    >>> class Averaged(Optimizer):
    ...     '''Descent along the mean of the gradient's past, corrected for its start at zero.'''
    ...
    ...     moments = ("mean",)
    ...
    ...     def __init__(self, params=None, learning_rate=0.1, beta=0.9):
    ...         self.beta = beta
    ...         super().__init__(params, learning_rate)
    ...
    ...     def scalars(self, rate, count):
    ...         return rate, 1 - self.beta ** count.astype(pg.float64)
    ...
    ...     def advance(self, p, g, slots, scalars):
    ...         rate, seen = scalars
    ...         mean = self.beta * slots["mean"] + (1 - self.beta) * g
    ...         return p - rate * mean / seen, {"mean": mean}
    >>> w = pg.Parameter([3.0])
    >>> optimizer = Averaged([w], learning_rate=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4), optimizer.state_dict()["0.step"]
    (1.5, 1)
    """

    moments: tuple[str, ...] = ()
    """Names of the tensors of its own shape that each parameter has beside it; they begin at zero."""

    def __init__(self, params: Any, learning_rate: float) -> None:
        if type(self).advance is Optimizer.advance:
            raise TypeError(
                f"{self.name}: an optimizer needs a method advance(self, p, g, slots, scalars), which returns the new "
                "parameter and a dict of its moments; define it"
            )
        rate = pg.asarray(_checked_rate(self.name, learning_rate), dtype=pg.float64, device=HOST)
        self._rate = pg.Buffer(rate, name=f"{self.name}.learning_rate")
        self._handles: structure.Leaves | None = None
        self._state: State = {}
        if params is not None:
            params = list(params) if isinstance(params, Iterator) else params
            self._handles = structure.trained(self.name, params)
            _check_leaves(self.name, self._handles)
            self._state = self.init(params)

    @property
    def name(self) -> str:
        """The name in messages."""
        return type(self).__name__

    @property
    def learning_rate(self) -> float:
        """The step size. It may be set at any time; a staged step follows."""
        return float(self._rate.item())

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        rate = _checked_rate(f"{self.name}.learning_rate", value)
        self._rate.assign(pg.asarray(rate, dtype=pg.float64, device=HOST))

    def parameters(self) -> list[pg.Tensor]:
        """What ``step()`` moves; empty for an optimizer that was made without params."""
        return list((self._handles or {}).values())

    def __repr__(self) -> str:
        return f"{self.name}(learning_rate={self.learning_rate})"

    # -- what a subclass fills in

    def scalars(self, rate: pg.Tensor, count: pg.Tensor | None) -> Scalars:
        """The numbers of a step as a tuple of 0-d tensors, made once for all parameters; by default ``(rate,)``.

        ``rate`` is the learning rate, float64; ``count`` the number of the step, int64 from 1, or None without moments.
        ``advance`` gets them in the parameter's dtype (float32 for half precision), on its device.
        """
        return (rate,)

    def advance(self, p: pg.Tensor, g: pg.Tensor, slots: Slots, scalars: Scalars) -> tuple[pg.Tensor, Slots]:
        """The parameter after a step, and a dict of its moments after it.

        ``g`` has the shape, dtype and device of ``p``; ``slots[name]`` is a moment, in float32 for half precision. Only
        operations on tensors: the step may be staged, differentiated or mapped.
        """
        raise NotImplementedError

    # -- pure functions over trees

    def init(self, params: Any) -> State:
        """The state of a run that begins at ``params``: moments of zero, float32 for half precision, and no steps."""
        leaves = structure.trained(f"{self.name}.init", params)
        count = pg.asarray(0, device=HOST)
        state: State = {}
        for path, p in leaves.items():
            state[path] = {slot: p.zeros_like(dtype=working_dtype(p.dtype)) for slot in self.moments}
            if self.moments:
                state[path]["step"] = count
        return state

    def update(self, grads: Any, state: State, params: Any, learning_rate: Any = None) -> tuple[Any, State]:
        """(params, state) after one step; changes neither its arguments nor the optimizer, and can be differentiated.

        ``grads`` has the structure of ``params``, as ``grad`` returns it; a parameter whose gradient is None stays.
        ``learning_rate``, a number or 0-d tensor, takes the place of the optimizer's own. A Module comes back as a copy
        with new Parameters and the same Buffers. ShapeError where structures or shapes do not agree, RecordingError
        where no parameter has a gradient.
        """
        where = f"{self.name}.update"
        leaves = structure.trained(where, params)
        saving.check_state(where, self.moments, leaves, state)
        found = structure.aligned(where, params, grads)
        if all(found[path] is None for path in leaves):
            raise RecordingError(f"{where}: no parameter has a gradient; give what grad(loss)(params) returns")
        step = _Step(self, self._rate if learning_rate is None else _as_rate(where, learning_rate))
        after, new = dict(state), {}
        for path, p in leaves.items():
            g = found[path]
            if g is not None:
                new[id(p)], after[path] = step.take(_off_tape(p), g, state[path])
        return structure.rebuilt(params, new), after

    # -- over backward()

    def step(self) -> None:
        """Move every parameter that has a gradient in ``.grad``; the others and their state stay.

        RecordingError where none has one, ShapeError where one has another shape than its parameter.
        """
        handles = self._own("step")
        found = {path: p.grad for path, p in handles.items() if p.grad is not None}
        if not found:
            raise RecordingError(f"{self.name}.step: no parameter has a gradient; call loss.backward() before step()")
        for path, g in found.items():
            if g.shape != handles[path].shape:
                raise ShapeError(
                    f"{self.name}.step: the gradient of {path!r} has shape {g.shape}, the parameter "
                    f"{handles[path].shape}; call zero_grad() and backward() again"
                )
        with pg.no_grad():
            _settle(self._state, found, handles)
            step = _Step(self, self._rate)
            for path, g in found.items():
                slots = self._state[path]
                new, after = step.take(handles[path], g, slots)
                handles[path].assign(new)
                for slot in self.moments:
                    slots[slot].assign(after[slot])
            step.keep_counts()

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self._own("zero_grad").values():
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to go on, flat: ``learning_rate``, and by path each parameter's moments and ``step``."""
        self._own("state_dict")
        return {"learning_rate": self.learning_rate, **saving.flattened(self._state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned, tensors or arrays. It is checked before anything is changed."""
        where = f"{self.name}.load_state_dict"
        handles = self._own("load_state_dict")
        saving.check_saved(where, self.moments, handles, state)
        rate = _checked_rate(where, state["learning_rate"])
        saving.restore(self.moments, self._state, state)
        self.learning_rate = rate

    def _own(self, method: str) -> structure.Leaves:
        if self._handles is None:
            raise RecordingError(
                f"{self.name}.{method}: this optimizer was made without params; make it with {self.name}(params, ...), "
                "or use init() and update()"
            )
        return self._handles


class _Step:
    """One step of all parameters: scalars are made once for each count, dtype and device that occurs."""

    def __init__(self, optimizer: Optimizer, rate: pg.Tensor) -> None:
        self.optimizer, self.rate = optimizer, rate
        self._counts: dict[int, tuple[pg.Tensor | None, pg.Tensor | None, Scalars]] = {}
        self._placed: dict[tuple[Any, ...], Scalars] = {}

    def take(self, p: pg.Tensor, g: pg.Tensor, slots: Slots) -> tuple[pg.Tensor, Slots]:
        old = slots.get("step")
        if id(old) not in self._counts:
            new = None if old is None else old + 1
            self._counts[id(old)] = old, new, self.optimizer.scalars(self.rate, new)
        _, count, scalars = self._counts[id(old)]
        key = (id(old), p.dtype, p.device)
        if key not in self._placed:
            work = working_dtype(p.dtype)
            self._placed[key] = tuple([s.astype(work).to(p.device) for s in scalars])
        found = self.optimizer.advance(p, g.to(p.device).astype(p.dtype), slots, self._placed[key])
        fresh, moments = _checked_step(self.optimizer, found, p, slots)
        return fresh, moments if count is None else {**moments, "step": count}

    def keep_counts(self) -> None:
        """Write the counts back to the handles they came from."""
        for old, new, _ in self._counts.values():
            if old is not None and new is not None:
                old.assign(new)


def _checked_step(optimizer: Optimizer, found: Any, p: pg.Tensor, slots: Slots) -> tuple[pg.Tensor, Slots]:
    """What ``advance`` returned, in the dtypes that it was given; an error where it is something else."""
    where, names = f"{optimizer.name}.advance", optimizer.moments
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], dict) and {*names} == {*found[1]}):
        dict_of = f"a dict with the moments {', '.join(names)}" if names else "an empty dict"
        raise TypeError(f"{where}: it must return a tuple of the new parameter and {dict_of}")
    for t, old in [(found[0], p), *[(found[1][name], slots[name]) for name in names]]:
        if t.shape != old.shape:
            raise ShapeError(f"{where}: it returned shape {t.shape} in the place of {old.shape}; keep the shape")
    return found[0].astype(p.dtype), {name: found[1][name].astype(slots[name].dtype) for name in names}


def _settle(state: State, found: Mapping[str, Any], handles: structure.Leaves) -> None:
    """State follows its parameter to another device; parameters that stay get a count apart from those that move."""
    moving = {id(slots["step"]) for path, slots in state.items() if path in found and "step" in slots}
    apart: dict[int, pg.Tensor] = {}
    for path, slots in state.items():
        for slot, t in slots.items():
            if slot != "step" and t.device != handles[path].device:
                slots[slot] = t.to(handles[path].device)
        count = slots.get("step")
        if count is not None and path not in found and id(count) in moving:
            slots["step"] = apart.setdefault(id(count), _own_count(count))


def _off_tape(p: pg.Tensor) -> pg.Tensor:
    """A Module's own leaf is no longer one once a transformation has it: else each step would hang on those before."""
    return p.detach() if isinstance(p, pg.Parameter) and p.is_leaf else p


def _own_count(count: pg.Tensor) -> pg.Tensor:
    """A count apart. It is Python's business which parameters share one, so a graph cannot part them."""
    try:
        return pg.asarray(int(count.item()), device=HOST)
    except ConcretizationError as error:
        raise StateError(
            "step: a parameter has no gradient, but those with which it has made all its steps have one; call step() "
            "once outside of compile first, or give it an optimizer of its own"
        ) from error


def _check_leaves(name: str, handles: structure.Leaves) -> None:
    for path, p in handles.items():
        if not isinstance(p, pg.Parameter) and not p.is_leaf:
            raise RecordingError(
                f"{name}: params hold at {path!r} a tensor that backward() gives no gradient to; "
                "make it a Parameter, or call .requires_grad_() on it first"
            )


def _checked_rate(where: str, value: Any) -> float:
    return number(where, "learning_rate", value.item() if hasattr(value, "item") else value, 0.0)


def _as_rate(where: str, rate: Any) -> pg.Tensor:
    if not isinstance(rate, pg.Tensor):
        return pg.asarray(_checked_rate(where, rate), dtype=pg.float64, device=HOST)
    if rate.shape != ():
        raise ShapeError(f"{where}: learning_rate has shape {rate.shape}; give a number or a 0-d tensor")
    return rate.to(HOST).astype(pg.float64)
