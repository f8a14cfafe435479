"""The contract between the core and a backend. A backend imports this module, ``dtypes``, ``errors`` and (if it wants
help) ``strided``.

A backend owns its values: memory, strides and offsets are nobody else's business. The core knows shape, dtype, backend
and device of a value, validates and promotes before any kernel runs, and finds kernels by the op's name.

Rules a kernel keeps
--------------------
K1  Operands share the key operand's dtype, except where the op says otherwise (``where``: bool condition, the key is
    operand 1; indices are int64; a random key is uint32). Elementwise kernels broadcast, NumPy's way. ``matmul`` gets
    operands of two axes or more; the axes before the last two broadcast.
K2  Any layout that this backend's own kernels can produce is accepted.
K3  Attributes are keyword-only, hashable and canonical: ``axis`` a sorted tuple of non-negative ints, or one such int
    where an op has a single axis (``argmax``, ``cumsum``, ``concat``, ``gather``, ``scatter_add``, ``take_along``);
    ``dtype`` an ``np.dtype``. Positions over several axes count through them in C order. Creation ops also get
    ``device=``, the ordinal ("0"). A slice is ``start, size, step`` for each axis: element k of the result is element
    ``start + k * step`` of the operand. A step may be negative; in a Python slice, an end below 0 then has to be None.
K4  A kernel never writes an operand. The result is fresh memory, also of ``cast`` to the same dtype and of ``copy``;
    only movement ops may alias operand 0. Its shape and dtype are exactly what the op's shape rule said: a reduction
    (not ``argmax`` and ``argmin``, which give int64) keeps the operand's dtype, bool included; where a public function
    widens, the core casts before. Integers that overflow wrap; integer division by zero, shifts beyond the width and
    casts of floats out of an integer's range are left open. Floats may differ from the reference by the units in the
    last place that ``plugrad.testing`` allows: 4 where one operation rounds, 64 for functions, and 64 of the largest
    element for sums.
K5  ``NotImplemented`` means "not this call", and is returned before any effect.
K6  ``into``: all operands are passed; ``out`` has the result's shape and dtype, may be non-contiguous, and is either
    disjoint from all operands or *is* one of them or several at once (``out is values[k]``): any operands for
    elementwise ops, operand 0 for update ops. It returns None, or NotImplemented with ``out`` untouched.
K7  Work shows in call order per device; memory of a dropped value is not reused before queued work on it is done.
K8  Positions along an axis of size n run from -n to n - 1; a negative one counts from the end, which is the kernel's
    business. Of values that ``scatter`` writes to one place, the last in the order of their positions stays. Another
    position must not corrupt: raise ``IndexError`` before writing, or on an async device drop the access and report
    late. A library that would be silent about it looks at the positions first, and may wait for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from .errors import DeviceError, shown

if TYPE_CHECKING:
    from .program import Program

__version__ = "0.1.0"

API = (1, 0)
"""(major, minor) of this contract.

A plugin declares the version it was written for; the majors must agree, its minor may be lower.
"""

Value = Any
"""A backend's own array. The core never looks inside."""


class Spec(NamedTuple):
    """Shape and dtype: all that the core knows of a value."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)


@dataclass(frozen=True)
class Kernel:
    """One implementation of one op. A bare function in a table means ``Kernel(fn)``.

    fn        ``fn(*values, **attrs) -> value | tuple | NotImplemented``
    dtypes    short names ("f4 f8") or groups ("float") of the op's key operand; None: all that the backend stores and
              the op allows
    scalars   an elementwise kernel takes a Python scalar as the second of two operands; otherwise the core passes a
              cached 0-d value
    when      ``when(*specs, **attrs) -> True | reason``: a promise made without data, for compile, the kit and the docs
    priority  the backend's own kernels have 0; a higher one wins, equal ones from two distributions are an error
    provider  the distribution, set at registration
    """

    fn: Callable[..., Any]
    dtypes: str | None = None
    scalars: bool = False
    when: Callable[..., bool | str] | None = None
    priority: int = 0
    provider: str = ""


class Backend:
    """Subclass this, fill in ``name``, ``kernels``, ``from_host``, ``to_host`` and ``spec``; everything else has a
    working default.
    """

    name: str
    """How devices are called, the name that the plugin registers: ``"mine"`` for ``device="mine"``."""

    kernels: Mapping[str, Callable[..., Any] | Kernel | Sequence[Kernel]] = {}
    """Op name to a function, a ``Kernel``, or several of them for different dtypes."""

    def from_host(self, array: np.ndarray, device: str) -> Value:
        """Copy in. By value at return: a later write to ``array`` must not show, even when the copy is only queued."""
        raise NotImplementedError

    def to_host(self, value: Value) -> np.ndarray:
        """Wait for the value, raise its late errors, and return an array that nobody will write (a copy or a read-only
        view).
        """
        raise NotImplementedError

    def spec(self, value: Value) -> Spec:
        """Shape and dtype of a value. For imports, data-dependent shapes and the kit; not on the hot path."""
        raise NotImplementedError

    # -- optional

    distribution: str = ""
    """The distribution that registered it, for messages; set by the plugin loader."""

    dtypes: str = "b1 i4 i8 u4 f4 f8"
    """What memory can hold: short names or groups. Needed are ``b1`` (comparisons), ``i8`` (positions, what ``argmax``
    gives) and one of the floats, and ``u4`` for random numbers; the others are free.
    """

    is_async: bool = False
    """Calls may return before the work is done: looking at a value waits, so what is only a check of values (the labels
    of a loss) is left out.
    """

    numbered: bool = False
    """Device names carry an ordinal ("cuda:0"); without it the backend is one device ("cpu")."""

    dimensions: int = 64
    """The most axes that a value may have."""

    into: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    """Op name to ``fn(out, *values, **attrs) -> None | NotImplemented``; on NotImplemented ``out`` is untouched."""

    fuses: ClassVar[frozenset[str]] = frozenset()
    """Ops that may stand in a ``fused`` group (see ``program``): elementwise ones; contractions, with which a group may
    begin; reductions, with which it may end. A backend that lists some has a kernel ``fused``, or takes programs.
    """

    host_scalars: bool = False
    """``compile`` takes programs with ``host_inputs`` and ``host_outputs``: numbers that are kept on the host, such as
    an optimizer's count of steps, need no copies to the device, and no program of their own.
    """

    def devices(self) -> Sequence[str]:
        """Ordinals of the devices, as strings."""
        return ("0",)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, device: str) -> Value:
        """Uninitialised memory; needed by ``into`` and by planned replay.

        With it, a backend of a single device need not write the allocating form of a kernel that it has in ``into``.
        """
        return NotImplemented

    def carve(self, block: Value, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> Value:
        """A C-contiguous value on the memory of ``block``, made by ``empty`` as a row of uint8, ``offset`` bytes from
        its begin; NotImplemented where memory cannot be shared so. The offset is a multiple of 64.
        """
        return NotImplemented

    def compile(self, program: Program, device: str) -> Callable[..., tuple[Value, ...]]:
        """A function of the program's inputs, ``run(*values) -> values`` of its outputs, or NotImplemented: then the
        core runs the equations one by one.

        Inputs have the program's shapes and dtypes and any layout. An output is fresh memory, or that of a donated
        input, never a view of anything else; nothing is written but donated inputs. Where an equation fails the error
        says what its kernel would, and no donated input has been written unless the plan has it done before. Several
        threads may run it at once. What the backend does not run itself it leaves to ``program.calls``.
        """
        return NotImplemented

    def synchronize(self, device: str) -> None:
        """Wait until all queued work of the device is done, and raise its late errors.

        Where a library can only wait for one value, leave it: ``to_host`` is what the core relies on.
        """

    def borrow(self, array: np.ndarray, device: str) -> Value:
        """A value on the array's own memory, without a copy, or NotImplemented.

        The core never writes a borrowed value.
        """
        return NotImplemented

    def dlpack(self, value: Value) -> Any:
        """An object on the value's own memory for other libraries: a NumPy array, an object with ``__dlpack__`` and
        ``__dlpack_device__``, or one with ``__cuda_array_interface__`` and ``__dlpack_device__``; NotImplemented where
        there is none. By default the value itself if it is one.
        """
        return value if hasattr(value, "__dlpack_device__") else NotImplemented

    def from_dlpack(self, obj: Any, device: str) -> Value:
        """A value on the memory of another library's object, without a copy, or NotImplemented. The core never writes
        it. Asked only for memory that is not the host's; ``borrow`` takes that.
        """
        return NotImplemented


BACKENDS: list[Backend] = []
"""Loaded backends. The position is the backend index of a handle, and the row of every op's table.

Position 0 is the reference.
"""


Place = tuple[int, str]
"""A device: backend index and ordinal."""


def device_name(place: Place) -> str:
    """A device's name, such as "cpu", or "cuda:0" where the backend numbers its devices."""
    backend = BACKENDS[place[0]]
    return f"{backend.name}:{place[1]}" if backend.numbered else backend.name


def parse_device(name: object) -> tuple[str, str]:
    """Backend name and ordinal of a device's name; what exists is for the backends to say.

    >>> parse_device("cuda:1"), parse_device("cpu")
    (('cuda', '1'), ('cpu', '0'))
    """
    backend, colon, ordinal = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not backend or (colon and not ordinal.isdecimal()):
        raise DeviceError(
            f"device: {shown(name)} is not a device name; use a backend's, or with a number: 'cpu', 'cuda:0'"
        )
    return backend, str(int(ordinal)) if colon else "0"


def index_of(name: str) -> int | None:
    """The index of a loaded backend, or None."""
    return next((i for i, backend in enumerate(BACKENDS) if backend.name == name), None)
