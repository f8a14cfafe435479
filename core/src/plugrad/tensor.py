"""The handle: a mutable reference to an immutable value. No math here: ops install the operators and methods.

A handle knows shape, dtype code, backend and device of its value and, when recorded, its node on the tape. Writing to
a handle rebinds it to a new value, so views and recorded values never change underneath anybody.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import tree
from .backend import BACKENDS, device_name
from .dtypes import DTYPES, KIND
from .errors import (
    ConcretizationError,
    DeviceError,
    DonatedError,
    DTypeError,
    LeakedTracerError,
    PlugradError,
    RecordingError,
    ShapeError,
    StateError,
    shown,
)
from .frames import user_line
from .handle import Attrs as Attrs
from .handle import Node as Node
from .handle import _TensorBase, serve
from .host import on_host
from .marks import FOREIGN as FOREIGN
from .marks import LENT as LENT
from .marks import LITERAL as LITERAL
from .marks import Shared as Shared
from .state import ACTIVE, HELD, check_held, state

if TYPE_CHECKING:
    from . import tape
    from .ops import assignment, creation, dlpack
    from .ops import elementwise as ew
    from .ops import movement as mv
    from .ops import reduction as rd


API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")
"""The versions of the Array API whose names the namespace has."""

_content = attrgetter("val", "be", "dt", "_shape", "dev", "base", "tr", "aux", "node", "ix", "mask")
"""What a write replaces."""

_INSTEAD = {
    "bool": "use where() or cond() instead of a Python condition",
    "index": "use take(x, i) or x[i + arange(n)] instead of a Python index or a slice",
}
"""What to do under vmap and stage instead of looking at a value."""


class Tensor(_TensorBase):
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

    __slots__ = ()
    __array_priority__ = 1000
    recorded = True
    """A write keeps the node of the new value."""
    __hash__ = object.__hash__

    # Installed by the ops too: an array, number or list as a tensor; a value of an interpreter without its derivative.
    _convert: Callable[..., Tensor]
    _cut: Callable[[Tensor], Tensor]

    if TYPE_CHECKING:
        # What the ops install, for type checkers and readers; a test compares this list with what is installed.
        # Operators of one signature share a declaration, whose own name begins with an underscore.

        def _unary(self) -> Tensor: ...
        def _binary(self, other: Any) -> Tensor: ...
        def _equal(self, other: object) -> Tensor: ...

        __neg__ = __pos__ = __abs__ = __invert__ = _unary
        abs = exp = log = sqrt = square = sin = cos = tanh = _unary
        __add__ = __radd__ = __iadd__ = __sub__ = __rsub__ = __isub__ = _binary
        __mul__ = __rmul__ = __imul__ = __truediv__ = __rtruediv__ = __itruediv__ = _binary
        __mod__ = __rmod__ = __imod__ = __floordiv__ = __rfloordiv__ = __ifloordiv__ = _binary
        __pow__ = __rpow__ = __ipow__ = __lt__ = __le__ = __gt__ = __ge__ = _binary
        __matmul__ = __rmatmul__ = __imatmul__ = _binary
        __and__ = __rand__ = __iand__ = __or__ = __ror__ = __ior__ = __xor__ = __rxor__ = __ixor__ = _binary
        __lshift__ = __rlshift__ = __ilshift__ = __rshift__ = __rrshift__ = __irshift__ = _binary
        __eq__ = __ne__ = _equal

        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __iter__(self) -> Iterator[Tensor]: ...
        def __repr__(self) -> str: ...

        @property
        def T(self) -> Tensor: ...
        @property
        def real(self) -> Tensor: ...
        @property
        def imag(self) -> Tensor: ...
        @property
        def at(self) -> assignment.At: ...

        mT = T
        backward = tape.backward
        astype, clip, conj = ew.astype, ew.clip, ew.conj
        to, zeros_like, ones_like = creation.to, creation.zeros_like, creation.ones_like
        to_device, __dlpack__, __dlpack_device__ = creation.to_device, dlpack.to_dlpack, dlpack.dlpack_device
        sum, prod, max, min, mean, var, std = rd.sum, rd.prod, rd.max, rd.min, rd.mean, rd.var, rd.std
        any, all, argmax, argmin, cumulative_sum = rd.any, rd.all, rd.argmax, rd.argmin, rd.cumulative_sum
        reshape, permute_dims, broadcast_to, moveaxis = mv.reshape, mv.permute_dims, mv.broadcast_to, mv.moveaxis
        expand_dims, squeeze, flip, split, copy = mv.expand_dims, mv.squeeze, mv.flip, mv.split, mv.copy

    # -- what it is

    def _refuse(self, shape: Any) -> None:
        wrong = f"shape: that of this {self.describe()} belongs to its value and cannot be set to {shown(shape)}"
        raise AttributeError(f"{wrong}; use what x.reshape() returns")

    shape = property(attrgetter("_shape"), _refuse, doc="The number of elements along each axis.")

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
        return device_name((self.be, self.dev))

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

    @property
    def followed(self) -> bool:
        """Whether a derivative that is being taken here goes through this value: recorded, or with a tangent."""
        t, here = self, state().mask
        while t.tr is not None and not (t.mask & here or t.tr.staging) and t.aux is None:
            t = t.val
        return t.mask & here != 0 or t.aux is not None

    # -- other handles on the same value

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
        array = self._on_host("numpy")
        if self.followed:
            raise RecordingError(f"numpy: this {self.describe()} is recorded; call .detach().numpy()")
        return array

    def concrete(self, what: str) -> Tensor:
        """The handle at level 0; raises under vmap and stage, where there is no single value."""
        t = self
        while t.tr is not None:
            if t.tr.alive is not state():
                raise leaked(what, t)
            if not t.tr.has_value:
                instead = _INSTEAD.get(what, "compute with the tensor itself")
                remedy = f"{instead}, or make this call outside the transformation; called at {user_line()}"
                raise ConcretizationError(f"{what}: this {self.describe()} has no value inside {t.tr.name}; {remedy}")
            t = t.val
        if not t.known:
            remedy = f"compute with the tensor itself, which each call reads anew; called at {user_line()}"
            raise ConcretizationError(f"{what}: staging would freeze this {self.describe()} from outside; {remedy}")
        return t

    @property
    def known(self) -> bool:
        """Whether the value may be looked at here: not inside an interpreter, and not as an input of a graph."""
        level = state().stage  # makes handles that are older than it inputs of its graph
        return self.tr is None and (level is None or self.born >= level.uid)

    @property
    def root(self) -> Any:
        """The value that owns the memory of a view, or None."""
        base = self.base.root if type(self.base) is Shared else self.base
        return None if base is FOREIGN else base

    def _on_host(self, what: str) -> np.ndarray:
        t = self.concrete(what)
        return on_host(BACKENDS[t.be], t.val, t.root)

    def item(self) -> Any:
        """The single element as a Python scalar."""
        return self._scalar("item")

    def _scalar(self, what: str) -> Any:
        if self.size != 1:
            raise ShapeError(f"{what}: a tensor of shape {self.shape} has {self.size} elements; index it first")
        return self._on_host(what).reshape(()).item()

    def tolist(self) -> Any:
        """The value as nested Python lists."""
        return self._on_host("tolist").tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The value for NumPy: read-only and on the same memory where that is possible and ``copy`` is not True.

        Nothing moves unasked: a tensor in a device's memory raises DeviceError.
        """
        place = getattr(BACKENDS[self.be].dlpack(self.concrete("array").val), "__dlpack_device__", None)
        if place is not None and place()[0] != 1:  # memory that the host cannot read
            raise DeviceError(f"array: this {self.describe()} is not in the host's memory; call .numpy() to copy it")
        array = self.numpy()
        if copy is False and dtype is not None and np.dtype(dtype) != array.dtype:
            raise ValueError(f"array: {array.dtype} to {np.dtype(dtype)} needs a copy, and copy=False was asked")
        return np.array(array, dtype=dtype, copy=copy)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """The module ``plugrad``, for every device."""
        if api_version is not None and api_version not in API_VERSIONS:
            raise ValueError(f"array_namespace: version {shown(api_version)} is unknown; use one of {API_VERSIONS}")
        return sys.modules[__package__]

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(f"bool: the truth of a tensor of shape {self.shape} is ambiguous; use .any() or .all()")
        return bool(self._scalar("bool"))

    def __float__(self) -> float:
        return float(self._scalar("float"))

    def __int__(self) -> int:
        return int(self._scalar("int"))

    def __complex__(self) -> complex:
        return complex(self._scalar("complex"))

    def __format__(self, spec: str) -> str:
        return format(self.item() if self.size == 1 and spec else str(self), spec)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self._scalar("round"), digits)

    def __index__(self) -> int:
        if KIND[self.dt] not in "iu":
            raise DTypeError(f"index: this {self.describe()} is not an integer; cast it with .astype()")
        return int(self._scalar("index"))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: a 0-d tensor has no length and no rows; use .size, or .item() for its value")
        return self.shape[0]

    def describe(self) -> str:
        """dtype, shape and device in words, for messages."""
        return f"{self.dtype} tensor of shape {self.shape} on {self.device}"

    def __copy__(self) -> Tensor:
        if type(self) is Tensor and not (self.is_leaf and self.mask == 1):
            return self.copy()
        new = type(self).__new__(type(self))
        new.__setstate__(self.__getstate__())
        return new

    def __getstate__(self) -> Any:
        if self.followed and not (self.is_leaf and self.mask == 1):
            wrong = f"copy: this {self.describe()} is recorded, and its gradient would be lost in a pickle or deep copy"
            raise RecordingError(f"{wrong}; call .detach(), or .copy() to go on differentiating")
        return self.detach().numpy(), self.device, self._extras()

    def __setstate__(self, saved: Any) -> None:
        array, device, extras = saved
        self._take(Tensor._convert(array, device=device, copy=True), **extras)

    def _extras(self) -> dict[str, Any]:
        """What ``_take`` needs besides the value."""
        return {"requires_grad": self.is_leaf}

    def _take(self, t: Tensor, *, requires_grad: bool) -> None:
        """Make this new object a handle on the value of ``t``."""
        Tensor.__init__(self, t.val, t.be, t.dt, t.shape, t.dev, t.base, t.tr, t.aux)
        self._become_leaf(requires_grad)

    # -- the tape

    def requires_grad_(self, on: bool = True) -> Tensor:
        """Make this handle a leaf of the tape of ``backward()``; ``x.grad`` will hold its gradient.

        Returns the handle.
        """
        if self.tr is not None:
            inside = f"this {self.describe()} is inside {self.tr.name}"
            raise RecordingError(f"requires_grad_: {inside}; use plugrad.grad of the function instead")
        if on and KIND[self.dt] not in "fc":
            remedy = "cast it first, such as .astype(plugrad.float32)"
            raise DTypeError(f"requires_grad_: this {self.describe()} has no derivative; {remedy}")
        if on and not self.is_leaf and self.node is not None:
            made = f"the result of {getattr(self.node.op, 'name', 'a transformation')}"
            raise RecordingError(f"requires_grad_: this {self.describe()} is {made}; call .detach() first")
        self._become_leaf(on)
        return self

    def _become_leaf(self, on: bool) -> None:
        self.node = Node(None, {}, (), weakref.ref(self), 1) if on else None
        self.mask, self.ix = int(on), 0

    # -- writes: in place means: rebind the handle. Views are values, so nothing else changes.

    def content(self) -> tuple[Any, ...]:
        """Everything that a write replaces."""
        return _content(self)

    def restore(self, content: tuple[Any, ...]) -> None:
        """Put a former content back."""
        self.val, self.be, self.dt, self._shape, self.dev, self.base = content[:6]
        self.tr, self.aux, self.node, self.ix, self.mask = content[6:]

    def rebind(self, new: Tensor, what: str = "setitem") -> None:
        """The write behind ``x[i] = v`` and ``x += v``: from now on this handle means the value of ``new``. ``what`` is
        the op's name.
        """
        here, new = state(), self._lowered(new)
        if self.is_leaf and here.mask & 1:
            wrong = f"{what}: writes to this {self.describe()}, a leaf that requires grad"
            raise RecordingError(f"{wrong}; use no_grad() or .assign(), or write to a copy, such as x * 1")
        if here.capture is not None and self.born < here.capture.uid:
            remedy = "return the value from the function, or make the target a Buffer, or the gradient is lost"
            raise StateError(f"{what}: this {self.describe()} is older than the checkpoint that writes it; {remedy}")
        self._become(new)

    def _lowered(self, new: Tensor) -> Tensor:
        """``new`` as this handle may keep it: not as a value inside an interpreter that the handle is older than."""
        while new.tr is not None and new.tr.uid > self.born and not new.tr.staging:
            new = self.lower(new)
        return new

    def lower(self, new: Tensor) -> Tensor:
        """What a handle from outside an interpreter may keep of a value inside it: for a plain tensor, nothing."""
        what = f"a value inside {new.tr.name} cannot be written into this {self.describe()}, made outside"
        raise StateError(f"write: {what}; return it from the function, or make the target a Buffer")

    def _become(self, new: Tensor) -> None:
        """Hold what ``new`` holds; a leaf stays the same leaf. Checkpoints and traces around note what was there."""
        if HELD:
            check_held(self)
        if (log := state().log) is not None:
            log.note(self)
        place = (self if self.is_leaf else new).content()[8:]
        self.restore((*new.content()[:8], *place))

    def give_up(self) -> None:
        """Let go of the value: a compiled function has its memory. Any use from now on raises DonatedError."""
        self._become_leaf(False)
        self.val, self.base, self.tr = None, None, _GONE

    def assign(self, value: Any) -> Self:
        """Rebind to ``value``, cast to this handle's dtype and moved to its device, as a plain value.

        A leaf stays the same leaf.
        """
        self._become(self.adopt(value))
        return self

    def adopt(self, value: Any) -> Tensor:
        """``value`` as an unrecorded tensor of this handle's shape, dtype and device."""
        new = value if isinstance(value, Tensor) else Tensor._convert(value, device=self.device, copy=True)
        new, mine = self._lowered(new), f"the {type(self).__name__.lower()}"
        if new.shape != self.shape:
            raise ShapeError(f"assign: the value has shape {new.shape}, {mine} {self.shape}; shapes must agree")
        if new.device != self.device:
            raise DeviceError(f"assign: the value is on {new.device}, {mine} on {self.device}; move it with .to()")
        return (new if new.dt == self.dt else new.astype(self.dtype)).detach()


Shape = tuple[int, ...]
Tensors = tuple[Tensor, ...]


def tupled(results: Any) -> tuple[Any, ...]:
    """What an op gives, one result or several, as a tuple."""
    return results if type(results) is tuple else (results,)


class _Gone:
    """In the place of the interpreter of a tensor that has no value any more."""

    name = "donation"
    alive = has_value = batched = staging = False
    uid = 0


_GONE = _Gone()


def leaked(what: str, t: Tensor) -> PlugradError:
    """The error for a value whose transformation has ended, or is another thread's, or that was donated."""
    if t.tr is _GONE:
        remedy = "use what the function returned, or leave this argument out of donate="
        return DonatedError(f"{what}: this {t.describe()} was donated to a compiled function; {remedy}")
    where = "that has ended; return it from there" if not t.tr.alive else "in another thread; use it in that one only"
    return LeakedTracerError(f"{what}: this {t.describe()} is of a {t.tr.name} {where}")


def install(*functions: Any, **others: Any) -> None:
    """Give Tensor methods of the functions' own names, and operators and properties; the one deliberate way round the
    circle of tensors and ops.
    """
    for name, method in {**{f.__name__: f for f in functions}, **others}.items():
        setattr(Tensor, name, method)


serve(Tensor)
tree.register_leaf(Tensor)
