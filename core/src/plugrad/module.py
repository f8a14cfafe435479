"""Module: a tree of tensors and other fields.

A model is a pytree: it can be differentiated, mapped, staged and moved as one value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from . import tree
from .errors import ShapeError, StateError
from .parameter import Buffer, Parameter
from .state import ACTIVE, state
from .tensor import Tensor


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
    _plain: ClassVar[type | None] = None
    """For a compiled module, the type that it has in trees."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(f"{type(self).__name__}: define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        level = state().stage if ACTIVE[0] else None
        if level is not None and not getattr(self, "_sealed", False):  # a rebuilt copy never changes
            level.modules.append(self)
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(self, "_sealed", False):
            wrong = "a Module inside a transformation is a rebuilt copy, the attribute would be lost"
            raise StateError(f"{type(self).__name__}.{name}: {wrong}; keep state in a Buffer and use .assign()")
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

    def train(self, mode: bool = True) -> Self:
        """Set ``training`` here and in every module inside. Returns the module."""
        for m in self.modules():
            m.training = mode
        return self

    def eval(self) -> Self:
        """``train(False)``."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    # -- moving and saving

    def to(self, device: str) -> Self:
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
        problems = [f"missing {k!r}" for k in own if k not in state]
        problems += [f"unexpected {k!r}" for k in state if k not in own]
        given = {k: tuple(getattr(state.get(k), "shape", t.shape)) for k, t in own.items()}
        problems += [f"{k!r} has shape {given[k]}, the model {t.shape}" for k, t in own.items() if given[k] != t.shape]
        if problems:
            wrong = f"the state does not fit {type(self).__name__}: {'; '.join(problems)}"
            raise ShapeError(f"load_state_dict: {wrong}. Build the model with the configuration it was saved with")
        moved = {k: v.detach().to(own[k].device) if isinstance(v, Tensor) else v for k, v in state.items()}
        for t, value in [(t, t.adopt(moved[k])) for k, t in own.items()]:
            t.assign(value)

    def __repr__(self) -> str:
        rows = [f"  {path}: {_shown(part)}".replace("\n", "\n  ") for path, part in _below(self, "")]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return "\n".join([head, *rows, ")"]) if rows else f"{head})"

    def extra_repr(self) -> str:
        """What ``repr`` shows between the parentheses: the configuration."""
        return ""


def _shown(part: Tensor | Module) -> str:
    if not isinstance(part, Tensor):
        return repr(part)
    return f"{type(part).__name__}(shape={part.shape}, dtype={part.dtype}, device={part.device!r})"


def _below(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The nearest tensors and Modules below a Module or container, with paths."""
    for key, child in tree.children(value).items():
        at = f"{path}.{key}" if path else str(key)
        yield from [(at, child)] if isinstance(child, (Tensor, Module)) else _below(child, at)


def _parts(value: Tensor | Module, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """A tensor or Module and those below it in order, each once, with paths."""
    if id(value) not in seen:
        seen.add(id(value))
        yield path, value
        for at, child in _below(value, path):
            yield from _parts(child, at, seen)


def _flatten(m: Module) -> tuple[dict[str, Any], Any]:
    return vars(m), (m._plain or type(m), tuple(vars(m)))


def _unflatten(aux: Any, values: list[Any]) -> Module:
    m = object.__new__(aux[0])
    m.__dict__.update(zip(aux[1], values, strict=True))
    object.__setattr__(m, "_sealed", True)
    return m


tree.register(Module, _flatten, _unflatten, is_module=True)
