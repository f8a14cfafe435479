"""The handle: a mutable reference to an immutable value. No math here: ops install the operators and methods.

A handle knows shape, dtype code, backend and device of its value and, when recorded, its node on the tape. Writing to
a handle rebinds it to a new value, so views and recorded values never change underneath anybody.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from . import tree
from .backend import BACKENDS
from .dtypes import DTYPES, KIND
from .errors import DTypeError, LeakedTracerError, RecordingError, StateError
from .methods import InstalledMethods
from .state import ACTIVE, State, sequence, state


class _Foreign:
    """Marks memory that is not plugrad's: never written, copied before it is recorded."""

    def __repr__(self) -> str:
        return "FOREIGN"


FOREIGN = _Foreign()
LENT = _Foreign()
"""As FOREIGN, but the user said ``copy=False``: it may be recorded as it is."""


class Node:
    """The record of one call: snapshots of inputs and outputs (values, never the user's handles).

    ``op`` is None for a leaf of the tape.
    """

    __slots__ = ("__weakref__", "attrs", "inputs", "mask", "op", "outputs", "seq")

    def __init__(self, op: Any, attrs: dict[str, Any], inputs: tuple[Tensor, ...], outputs: Any, mask: int) -> None:
        self.op, self.attrs, self.inputs, self.outputs, self.mask = op, attrs, inputs, outputs, mask
        self.seq = next(sequence)


class Tensor(InstalledMethods):
    """An n-dimensional array on some device; ``plugrad.asarray``, ``zeros``, ``random.normal`` and the like make one.

    It has ``shape``, ``dtype``, ``device``, ``ndim``, ``size``; operators and indexing as in NumPy; ``numpy()``,
    ``item()``, ``tolist()``; ``astype(dtype)``, ``to(device)``, ``detach()``; and for ``backward()``:
    ``requires_grad_()``, ``grad``. It is a handle on an immutable value: writing to it (``x[i] = v``, ``x += v``)
    changes no other tensor, views included.

    >>> import plugrad
    >>> x = plugrad.asarray([1.0, 2.0])
    >>> x.shape, x.dtype.name, (x * x).sum().item()
    ((2,), 'float32', 5.0)
    """

    # val: the backend's value, or a lower level's handle under an interpreter tr. be, dt, dev: backend index, dtype
    # code, ordinal. base: the root value of a view, or FOREIGN. node, ix, mask: the place on the tape: node, output
    # index, graph ids. aux: the tangent under forward mode. born: serial number of the interpreter it was made under.
    __slots__ = (
        "__weakref__",
        "aux",
        "base",
        "be",
        "born",
        "dev",
        "dt",
        "grad",
        "ix",
        "mask",
        "node",
        "shape",
        "tr",
        "val",
    )
    __array_priority__ = 1000
    recorded = True
    """A write keeps the node of the new value."""
    __hash__ = object.__hash__

    # Installed by the ops: an array, number or list as a tensor; a value of an interpreter without its derivative.
    _convert: Callable[..., Tensor]
    _cut: Callable[[Tensor], Tensor]

    def __init__(
        self,
        val: Any,
        be: int,
        dt: int,
        shape: tuple[int, ...],
        dev: str,
        base: Any = None,
        tr: Any = None,
        aux: Tensor | None = None,
    ) -> None:
        self.val, self.be, self.dt, self.shape, self.dev, self.base = val, be, dt, shape, dev, base
        self.tr, self.aux, self.ix, self.mask = tr, aux, 0, 0
        self.node: Node | None = None
        self.grad: Tensor | None = None
        self.born = state().uid if ACTIVE[0] else 0

    # -- what it is

    @property
    def dtype(self) -> np.dtype:
        """The element type, a NumPy dtype object."""
        return DTYPES[self.dt]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def device(self) -> str:
        """The device's name, such as "cpu" or "cuda:0"."""
        backend = BACKENDS[self.be]
        return f"{backend.name}:{self.dev}" if backend.numbered else backend.name

    @property
    def requires_grad(self) -> bool:
        """Whether ``backward()`` reaches this tensor."""
        return bool(self.mask & 1)

    @property
    def is_leaf(self) -> bool:
        """Whether ``backward()`` would store a gradient in this handle."""
        return self.node is not None and self.node.op is None

    def trained(self, in_module: bool) -> bool:
        """Whether a transformation over a tree differentiates with respect to this leaf."""
        return not in_module and KIND[self.dt] in "fc"

    def successor(self, in_module: bool) -> Callable[[Any], Any] | None:
        """What to make of a new leaf in this one's place of a tree."""
        return None

    # -- other handles on the same value

    def clone(self, node: Node | None, mask: int, ix: int = 0) -> Tensor:
        """A plain handle on the same value, with this place on the tape. Nodes keep clones, never a user's handle."""
        t = object.__new__(Tensor)
        t.val, t.be, t.dt, t.shape, t.dev, t.base = self.val, self.be, self.dt, self.shape, self.dev, self.base
        t.tr, t.aux, t.node, t.ix, t.mask, t.grad = self.tr, self.aux, node, ix, mask, None
        t.born = state().uid if ACTIVE[0] else 0
        return t

    def ghost(self, node: Node | None, mask: int, ix: int = 0) -> Tensor:
        """Shape, dtype and device of a value that a backward rule does not need."""
        t = Tensor(None, self.be, self.dt, self.shape, self.dev)
        t.node, t.mask, t.ix = node, mask, ix
        return t

    def detach(self) -> Tensor:
        """The same value as a constant for every kind of differentiation.

        Writes to either handle do not show in the other.
        """
        if self.tr is not None or (ACTIVE[0] and state().stage is not None):
            return Tensor._cut(self)
        t = self.clone(None, 0)
        if t.base is None:
            t.base = self.val
        return t

    # -- out of plugrad

    def numpy(self) -> np.ndarray:
        """The value as a read-only NumPy array, waiting for the device. Recorded tensors must be detached first."""
        t = self.concrete("numpy")
        if t.mask & (state().mask if ACTIVE[0] else 1):
            raise RecordingError(
                f"numpy: this {self.describe()} is recorded for differentiation; call .detach().numpy()"
            )
        return BACKENDS[t.be].to_host(t.val)

    def concrete(self, what: str) -> Tensor:
        """The handle at level 0; raises under vmap and stage, where there is no single value."""
        t = self
        while t.tr is not None:
            if not t.tr.alive:
                raise leaked(what, t)
            if not t.tr.has_value:
                raise LeakedTracerError(
                    f"{what}: the value of this {self.describe()} is not known inside {t.tr.name}; "
                    "use where() instead of a Python condition, or move this call outside the transformation"
                )
            t = t.val
        if ACTIVE[0]:
            level = state().stage
            if level is not None and t.born < level.uid:
                raise LeakedTracerError(
                    f"{what}: reading this {self.describe()} from outside while staging would freeze it into the "
                    "graph; compute with the tensor itself, or pass the value as a Python argument"
                )
        return t

    @property
    def known(self) -> bool:
        """Whether the value may be looked at here: not inside an interpreter, and not as an input of a graph."""
        level = state().stage if ACTIVE[0] else None
        return self.tr is None and (level is None or self.born >= level.uid)

    def item(self) -> Any:
        """The single element as a Python scalar."""
        if self.size != 1:
            raise ValueError(f"item: a tensor of shape {self.shape} has {self.size} elements; index it first")
        t = self.concrete("item")
        return BACKENDS[t.be].to_host(t.val).reshape(()).item()

    def tolist(self) -> Any:
        """The value as nested Python lists."""
        t = self.concrete("tolist")
        return BACKENDS[t.be].to_host(t.val).tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError(
                "asarray: a NumPy array of a tensor's memory cannot be guaranteed without a copy; leave out copy=False"
            )
        return np.array(self.numpy(), dtype=dtype)

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"bool: the truth of a tensor of shape {self.shape} is ambiguous; use .any() or .all()")
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item() if self.size == 1 and spec else str(self), spec)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.item(), digits)

    def __index__(self) -> int:
        if KIND[self.dt] not in "iu":
            raise DTypeError(f"index: a {self.dtype} tensor is not an integer; cast it with .astype()")
        return int(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: a 0-d tensor has no length; use .size, or .item() for its value")
        return self.shape[0]

    def describe(self) -> str:
        """dtype, shape and device in words, for messages."""
        return f"{self.dtype} tensor of shape {self.shape} on {self.device}"

    def __repr__(self) -> str:
        name = type(self).__name__
        if self.tr is not None or self.val is None:
            where = self.tr.name if self.tr is not None else "not kept"
            return f"{name}(<{where}>, shape={self.shape}, dtype={self.dtype}, device={self.device!r})"
        body = np.array2string(np.asarray(BACKENDS[self.be].to_host(self.val)), separator=", ", prefix=name + "(")
        notes = f", dtype={self.dtype}, device={self.device!r}" + (", requires_grad=True" if self.requires_grad else "")
        return f"{name}({body}{notes})"

    def __reduce__(self) -> Any:
        array = np.array(self.detach().numpy())
        return _rebuild, (type(self), array, self.device, self._extras())

    def _extras(self) -> dict[str, Any]:
        return {"requires_grad": self.is_leaf}

    def __copy__(self) -> Tensor:
        return _rebuild(*self.__reduce__()[1])

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        memo[id(self)] = copied = self.__copy__()
        return copied

    # -- the tape

    def requires_grad_(self, on: bool = True) -> Tensor:
        """Make this handle a leaf of the tape of ``backward()``; ``x.grad`` will hold its gradient.

        Returns the handle.
        """
        if self.tr is not None:
            raise RecordingError(
                "requires_grad_: this tensor is inside a transformation; use plugrad.grad over the function instead"
            )
        if on and KIND[self.dt] not in "fc":
            raise DTypeError(
                f"requires_grad_: a {self.dtype} tensor has no derivative; cast it to a floating dtype first"
            )
        if on and not self.is_leaf and self.node is not None:
            raise RecordingError("requires_grad_: this tensor is the result of recorded ops; call .detach() first")
        self.node = Node(None, {}, (), weakref.ref(self), 1) if on else None
        self.mask, self.ix = int(on), 0
        return self

    # -- writes: in place means: rebind the handle. Views are values, so nothing else changes.

    def content(self) -> tuple[Any, ...]:
        """Everything that a write replaces."""
        return (
            self.val,
            self.be,
            self.dt,
            self.shape,
            self.dev,
            self.base,
            self.tr,
            self.aux,
            self.node,
            self.ix,
            self.mask,
        )

    def restore(self, content: tuple[Any, ...]) -> None:
        """Put a former content back."""
        (
            self.val,
            self.be,
            self.dt,
            self.shape,
            self.dev,
            self.base,
            self.tr,
            self.aux,
            self.node,
            self.ix,
            self.mask,
        ) = content

    def rebind(self, new: Tensor) -> None:
        """The write behind ``x[i] = v`` and ``x += v``: from now on this handle means the value of ``new``."""
        here = state()
        while new.tr is not None and new.tr.uid > self.born and not new.tr.staging:
            new = self.lower(new)
        if self.is_leaf and here.mask & 1:
            raise RecordingError(
                f"write: this {self.describe()} is a leaf that requires grad; write inside no_grad(), or use .assign() "
                "for an optimizer's update"
            )
        if here.capture is not None and self.born < here.capture.uid:
            raise StateError(
                f"write: this {self.describe()} was made outside the checkpoint that writes it, which would lose the "
                "gradient; return the value from the function, or make the target a Buffer"
            )
        self.logged(here)
        if self.is_leaf:  # inside no_grad: it stays the same leaf
            self.val, self.base, self.tr, self.aux = new.val, new.base, new.tr, new.aux
        else:
            self.restore(new.content())

    def lower(self, new: Tensor) -> Tensor:
        """What a handle from outside an interpreter may keep of a value inside it: for a plain tensor, nothing."""
        raise StateError(
            f"write: a value inside {new.tr.name} cannot be written into a tensor made outside it; "
            "return it from the function, or make the target a Buffer"
        )

    def logged(self, here: State) -> None:
        """Before a write: checkpoints and traces around it note what the handle held."""
        if here.log is not None:
            here.log.note(self)

    def assign(self, value: Any) -> Tensor:
        """Rebind to ``value``, cast to this handle's dtype and moved to its device, as a plain value.

        A leaf stays the same leaf.
        """
        new = self.adopt(value)
        here = state()
        self.logged(here)
        if new.tr is not None and new.tr.uid > self.born and not new.tr.staging:
            self.lower(new)
        self.val, self.base, self.tr, self.aux = new.val, new.base, new.tr, new.aux
        if not self.is_leaf:
            self.node, self.mask, self.ix = None, 0, 0
        return self

    def adopt(self, value: Any) -> Tensor:
        """``value`` as an unrecorded tensor of this handle's shape, dtype and device."""
        new = value if isinstance(value, Tensor) else Tensor._convert(value, device=self.device, copy=True)
        if new.shape != self.shape:
            raise ValueError(
                f"assign: the value has shape {new.shape}, the {type(self).__name__.lower()} {self.shape}; shapes must "
                "agree"
            )
        if new.be != self.be or new.dev != self.dev:
            raise ValueError(
                f"assign: the value is on {new.device}, the {type(self).__name__.lower()} on {self.device}; move it "
                "with .to()"
            )
        if new.dt != self.dt:
            new = new.astype(self.dtype)
        return new.detach()


def leaked(what: str, t: Tensor) -> LeakedTracerError:
    """The error for a value whose transformation has ended."""
    return LeakedTracerError(
        f"{what}: this {t.describe()} belongs to a {t.tr.name} that has ended; return it from the function instead of "
        "keeping it"
    )


def _rebuild(cls: type[Tensor], array: np.ndarray, device: str, extras: dict[str, Any]) -> Tensor:
    t = Tensor._convert(array, device=device, copy=True)
    if cls is not Tensor:
        return cls._from(t, **extras)  # type: ignore[attr-defined]
    return t.requires_grad_() if extras["requires_grad"] else t


def install(**methods: Any) -> None:
    """Give Tensor operators, methods and properties; the one deliberate way round the circle of tensors and ops."""
    for name, method in methods.items():
        setattr(Tensor, name, method)


tree.register_leaf(Tensor)
