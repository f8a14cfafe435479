"""What an author declares for the kit: calls of ops, layers to make, optimizers to run, datasets to read.

A function without arguments gives them; the plugin registers it::

    @hookimpl
    def plugrad_samples(registrar):
        registrar.samples("plugrad_mine.samples:samples")

Nothing but the kit imports that module, so it may import ``plugrad.testing``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ...dtypes import CODE, DTYPES, SHORT
from .arrays import Shape, numbers

NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Operand:
    """An array to be made for each dtype that is checked: random elements from ``low`` to ``high``.

    ``dtype`` is None where the operand follows the dtype that is checked, "wide" where it is float32 beside half
    precision, else a short name such as "i8" or "b1".
    """

    shape: Shape
    low: float = -2.0
    high: float = 2.0
    dtype: str | None = None

    def array(self, dtype: np.dtype, seed: int = 0) -> np.ndarray:
        """The array for a dtype.

        >>> Operand((2, 3)).array(np.dtype("float32")).dtype
        dtype('float32')
        """
        short = SHORT[CODE[dtype]]
        if self.dtype == "wide":
            short = "f4" if short in ("f2", "bf2") else short
        elif self.dtype is not None:
            short = self.dtype
        own = DTYPES[SHORT.index(short)]
        return np.asarray(numbers(self.shape, own, self.low, self.high, seed))


def values(*shape: int, low: float = -2.0, high: float = 2.0) -> Operand:
    """An operand of the dtype that is checked: random elements between two bounds.

    >>> values(3, 4, low=0.5).shape
    (3, 4)
    """
    return Operand(shape, low, high)


def accumulators(*shape: int, low: float = -2.0, high: float = 2.0) -> Operand:
    """An operand of the dtype that is checked, but of float32 beside half precision: moments, statistics."""
    return Operand(shape, low, high, "wide")


def positions(*shape: int, size: int) -> Operand:
    """An int64 operand of positions along an axis of ``size`` elements, negative ones too."""
    return Operand(shape, -size, size - 1, "i8")


def labels(*shape: int, classes: int) -> Operand:
    """An int64 operand of class numbers, 0 to ``classes - 1``."""
    return Operand(shape, 0, classes - 1, "i8")


def flags(*shape: int) -> Operand:
    """A bool operand."""
    return Operand(shape, dtype="b1")


Given: TypeAlias = Operand | np.ndarray
"""An operand to be made, or an array that is taken as it is."""


@dataclass(frozen=True)
class OpSample:
    """One call of an op.

    op          its name, such as "mine.cube"
    operands    what it is called with; a floating one follows the dtype that is checked
    attrs       keyword attributes, as the op itself takes them (canonical: rule K3)
    dtypes      those in which the call is made, short names or groups; by default all that the op is defined for
    tolerance   units in the last place by which a kernel may differ from the decomposition: a key of
                ``plugrad.testing.TOLERANCE`` ("exact", "rounded", "function", "sum", "derivative"), or a number for
                each dtype by short name, with "" for all others
    smooth      whether the derivatives exist here; False at kinks
    layouts     whether kernels are called with transposed, sliced, flipped and broadcast operands too
    raises      the error that the call must raise before any kernel runs, for a call that is wrong
    reference   an independent implementation, ``f(*arrays, **attrs)`` on NumPy arrays of float64 (a tuple of arrays for
                several results)
    """

    op: str
    operands: tuple[Given, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)
    tolerance: str | Mapping[str, float] = "function"
    smooth: bool = True
    layouts: bool = True
    raises: type[Exception] | None = None
    reference: Callable[..., Any] | None = None
    dtypes: str = "any"


@dataclass(frozen=True)
class LayerSample:
    """A layer or loss as a user makes it, and a call of it.

    name       as it is registered: ``plugrad.create(kind, name, **config)`` makes it
    config     keyword arguments for that
    inputs     what it is called with
    output     the shape that comes out (None: not checked)
    kind       "layer", or "loss"
    make       what makes it instead of ``create``, called with ``config``: where keywords cannot, or where it is not
               registered
    random     whether two calls in training mode differ (dropout)
    unbiased   whether the mean of many calls in training mode is what evaluation mode gives (dropout that scales)
    smooth     whether the derivatives exist at these inputs
    tolerance  as for ``OpSample``, for what differs between devices
    reference  an independent implementation, ``f(state, *arrays)`` on NumPy arrays of float64, with the layer's state
               dict, for the layer in evaluation mode after one call in training mode with the same arrays: one that
               computes running statistics from these checks them too
    raises     the error that the call must raise, for inputs that are wrong
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Given, ...] = ()
    output: Shape | None = None
    kind: str = "layer"
    make: Callable[..., Any] | None = None
    random: bool = False
    smooth: bool = True
    tolerance: str | Mapping[str, float] = "derivative"
    reference: Callable[..., Any] | None = None
    raises: type[Exception] | None = None
    unbiased: bool = False


@dataclass(frozen=True)
class OptimizerSample:
    """An optimizer as a user makes it.

    name       as it is registered: ``plugrad.create("optimizer", name, params=..., **config)`` makes it
    config     its arguments but for the parameters
    reference  one step on NumPy arrays of float64, ``f(p, g, memory, step) -> p``: ``memory`` is a dict that is kept
               between steps and empty at the first, ``step`` counts from 1
    decay      what its weight decay is added to: "none", "gradient" (L2), or "parameter" (decoupled)
    minimises  whether 200 steps on a well-conditioned quadratic must come close to its minimum
    make       what makes it instead of ``create``, called with ``params`` and ``config``: where it is not
               registered
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    reference: Callable[..., Any] | None = None
    decay: str = "none"
    minimises: bool = True
    make: Callable[..., Any] | None = None


@dataclass(frozen=True)
class DatasetSample:
    """A dataset as a user makes it.

    name       as it is registered: ``plugrad.create("dataset", name, **config)`` makes it
    config     its arguments
    length     how many examples it has (None: not checked)
    example    shape and dtype of each component of an example (empty: not checked)
    available  answers True, or why the data cannot be read here; the checks are skipped then
    make       what makes it instead of ``create``, called with ``config``: where it is not registered
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    length: int | None = None
    example: tuple[tuple[Shape, str], ...] = ()
    available: Callable[[], bool | str] | None = None
    make: Callable[..., Any] | None = None


Declared: TypeAlias = OpSample | LayerSample | OptimizerSample | DatasetSample
