"""Every exception plugrad raises on purpose. Each is also the built-in error a NumPy user would expect, so old
``except`` clauses work.

A message starts with the op's name, shows the shapes and dtypes that disagree, and ends with the remedy.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

import numpy as np


def suggest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` with the closest known name, or an empty string.

    >>> suggest("cdua", ["cpu", "cuda"])
    " (did you mean 'cuda'?)"
    """
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def article(text: str) -> str:
    """The text with its indefinite article.

    >>> article("int64 tensor"), article("uint8 tensor")
    ('an int64 tensor', 'a uint8 tensor')
    """
    return f"{'an' if text[:1] in tuple('aeioAEIO') else 'a'} {text}"


def shown(value: object) -> str:
    """A value in a message: its ``repr``, cut short, whatever the value is.

    >>> shown(list(range(1000)))
    '[0, 1, 2, 3, 4, 5, ...]'
    """
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return f"<{type(value).__name__} of very many digits>"


class PlugradError(Exception):
    """Base of all errors raised by plugrad and its plugins."""


class ShapeError(PlugradError, ValueError):
    """Shapes, axes or indices do not fit the op."""


class AxisError(ShapeError, IndexError):
    """An axis is out of range; as NumPy's, an IndexError too."""


class ArgumentError(PlugradError, TypeError, ValueError):
    """An argument of the wrong kind, such as a list where a tensor is needed."""


class DTypeError(PlugradError, TypeError):
    """The op is not defined for this dtype, or no promotion exists between two dtypes."""


class LinAlgError(PlugradError, np.linalg.LinAlgError):
    """A matrix is singular or not positive definite, an iteration did not converge, or a decomposition has no
    derivative.
    """


class DeviceError(PlugradError, RuntimeError):
    """Operands on different devices, or a fault of a device. A fault may surface later than the op that caused it."""


class BackendUnavailableError(DeviceError):
    """The backend is unknown, not installed, or installed but not usable here; the message carries the reason."""


class ExchangeError(PlugradError, BufferError, ValueError):
    """An array cannot go to another library, or come from one, in the way that was asked for."""


class FallbackError(PlugradError, RuntimeError):
    """A backend lacks a kernel, the op has no decomposition, and the way through the host is closed
    (``PLUGRAD_FALLBACK=error``).
    """


class RecordingError(PlugradError, RuntimeError):
    """The tape cannot do what was asked: nothing was recorded, the graph was freed, or a recorded leaf was written
    to.
    """


class DonatedError(PlugradError, RuntimeError):
    """A tensor was used whose memory a compiled function was given."""


class LeakedTracerError(PlugradError, RuntimeError):
    """A value of a transformation that has ended (or of an inner one) was used outside it."""


class ConcretizationError(LeakedTracerError, TypeError):
    """A Python value (for an ``if``, ``float()``, ``numpy()``) was asked of a tensor that has none inside the running
    transformation.
    """


class NonFiniteError(PlugradError, FloatingPointError):
    """An op, or its backward rule, made a NaN or an infinity from values that had none, within ``find_nan``."""


class StateError(PlugradError, RuntimeError):
    """A write to state that the running transformation cannot express."""


class ViewWriteError(PlugradError, ValueError):
    """A write into a view that nobody could see, or that its author probably expected to write through."""


class PluginError(PlugradError, RuntimeError):
    """A plugin could not be loaded or broke the rules of registration."""


class UnknownNameError(PlugradError, LookupError):
    """No op, component, observer or command of that name is registered, or a variable has an unknown value."""


class MissingExtraError(PlugradError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class CheckpointError(PlugradError, OSError):
    """A checkpoint file is missing, damaged, or does not fit the model."""


class FallbackWarning(UserWarning):
    """An op runs on the reference backend through the host, because the tensor's backend has no kernel for it."""


class RestagingWarning(UserWarning):
    """A compiled function is staged again and again; once for each function and cause."""


class PluginWarning(UserWarning):
    """A plugin is broken and was left out; the others work."""


def no_memory(op: Any, xs: tuple[Any, ...], error: MemoryError) -> MemoryError:
    """A kernel's error, told with the operands; a backend's own kind as it is."""
    if isinstance(error, PlugradError):
        return error
    operands = f" from {', '.join(x.describe() for x in xs)}" if xs else ""
    return MemoryError(f"{op.name}: no memory for the result{operands}: {error}")
