"""Module: a tree of tensors and other fields.

A model is a pytree: it can be differentiated, mapped, staged and moved as one value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from . import tree
from .errors import ShapeError, StateError
from .parameter import Buffer, Parameter
from .state import ACTIVE, state
from .tensor import Tensor

M = TypeVar("M", bound="Module")


class Module:
    """Base of layers and models. Attributes that are tensors, Modules, or lists, tuples and dicts of them, make up the
    tree.

    Write ``forward``; calling the module calls it. A Module handed to ``grad``, ``jvp`` or ``vmap`` reaches the
    function as a rebuilt copy whose Buffers are the caller's own; setting a Python attribute on that copy would be
    lost, so it raises.

    >>> import plugrad
    >>> class Scale(plugrad.Module):
    ...     def __init__(self):
    ...         self.w = plugrad.Parameter([2.0])
    ...     def forward(self, x):
    ...         return x * self.w
    >>> Scale()(plugrad.asarray([3.0])).tolist()
    [6.0]
    """

    __slots__ = ("__dict__", "__weakref__", "_sealed")
    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(f"{type(self).__name__}: define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if ACTIVE[0]:
            level = state().stage
            if level is not None:
                level.modules.append(self)
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(self, "_sealed", False):
            raise StateError(
                f"{type(self).__name__}.{name}: a Module inside a transformation is a rebuilt copy, the attribute "
                "would be lost; "
                "keep state in a Buffer and use .assign()"
            )
        object.__setattr__(self, name, value)

    # -- walking

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and those inside it, each once, with dotted paths; the outermost has the empty path."""
        return ((path, part) for path, part in _parts(self, prefix, set()) if isinstance(part, Module))

    def modules(self) -> Iterator[Module]:
        """This module and those inside it, each once."""
        return (m for _, m in self.named_modules())

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor of the tree, each once, with its dotted path."""
        return ((path, part) for path, part in _parts(self, "", set()) if isinstance(part, Tensor))

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The Parameters, each once, with dotted paths."""
        return ((path, t) for path, t in self.named_tensors() if isinstance(t, Parameter))

    def parameters(self) -> list[Parameter]:
        """The Parameters, each once."""
        return [t for _, t in self.named_parameters()]

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """The Buffers, each once, with dotted paths."""
        return ((path, t) for path, t in self.named_tensors() if isinstance(t, Buffer))

    def buffers(self) -> list[Buffer]:
        """The Buffers, each once."""
        return [t for _, t in self.named_buffers()]

    # -- modes and gradients

    def train(self: M, mode: bool = True) -> M:
        """Set ``training`` here and in every module inside. Returns the module."""
        for m in self.modules():
            m.training = mode
        return self

    def eval(self: M) -> M:
        """``train(False)``."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    # -- moving and saving

    def to(self: M, device: str) -> M:
        """Move every tensor of the tree to a device, in place: the handles stay the same. Returns the module."""
        moved = [(t, t.detach().to(device)) for _, t in self.named_tensors()]
        for t, new in moved:
            t.val, t.be, t.dev, t.base, t.grad = new.val, new.be, new.dev, new.base, None
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters, Buffers and other tensors by dotted path, as plain values.

        Tied tensors appear once, under their first path.
        """
        return {path: t.detach() for path, t in self.named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Assign every tensor from ``state`` (tensors or arrays).

        Names all missing, unexpected and mis-shaped keys before changing anything.
        """
        own = dict(self.named_tensors())
        problems = [f"missing {k!r}" for k in own if k not in state] + [
            f"unexpected {k!r}" for k in state if k not in own
        ]
        for k, t in own.items():
            shape = tuple(getattr(state.get(k), "shape", t.shape))
            if shape != t.shape:
                problems.append(f"{k!r} has shape {shape}, the model {t.shape}")
        if problems:
            raise ShapeError(
                f"load_state_dict: the state does not fit {type(self).__name__}: {'; '.join(problems)}. "
                "Build the model with the configuration it was saved with"
            )
        ready = []
        for k, t in own.items():
            value = state[k]
            if isinstance(value, Tensor):
                value = value.detach().to(t.device)
            ready.append((t, t.adopt(value)))
        for t, value in ready:
            t.assign(value)

    def __repr__(self) -> str:
        rows = [f"  {path}: {_shown(part)}".replace("\n", "\n  ") for path, part in _below(self, "")]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return "\n".join([head, *rows, ")"]) if rows else f"{head})"

    def extra_repr(self) -> str:
        """What ``repr`` shows between the parentheses: the configuration."""
        return ""


def _shown(part: Tensor | Module) -> str:
    return f"{type(part).__name__} {part.shape} {part.dtype}" if isinstance(part, Tensor) else repr(part)


def _below(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The nearest tensors and Modules below a Module or container, with paths."""
    items: Any = ()
    if isinstance(value, (Module, dict)):
        items = (value if isinstance(value, dict) else vars(value)).items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    for key, child in items:
        at = f"{path}.{key}" if path else str(key)
        yield from [(at, child)] if isinstance(child, (Tensor, Module)) else _below(child, at)


def _parts(value: Tensor | Module, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """A tensor or Module and those below it in order, each once, with paths."""
    if id(value) not in seen:
        seen.add(id(value))
        yield path, value
        for at, child in _below(value, path):
            yield from _parts(child, at, seen)


def _flatten_module(m: Module) -> tuple[Any, Any]:
    return list(vars(m).values()), (type(m), tuple(vars(m)))


def _unflatten_module(aux: Any, children: list[Any]) -> Module:
    cls, names = aux
    m = object.__new__(cls)
    m.__dict__.update(zip(names, children, strict=True))
    object.__setattr__(m, "_sealed", True)
    return m


tree.register(Module, _flatten_module, _unflatten_module, is_module=True, names=lambda aux: aux[1])
