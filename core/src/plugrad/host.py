"""A value's memory as a NumPy array: what NumPy and DLPack get to see of it.

The core reuses a buffer when nobody else refers to the value, or to the root value of a view. So an array that goes out
must refer to both; a view's own array may know of the memory only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .backend import Backend


class _Held:
    """The memory of an array as another array that keeps ``holds`` alive."""

    def __init__(self, array: np.ndarray, holds: Any, writable: bool) -> None:
        words = array.__array_interface__
        kept = {name: words[name] for name in ("version", "shape", "strides")}
        data = words["data"][0], not writable
        # bytes without a meaning: an interface has no words for the dtypes of ml_dtypes
        self.__array_interface__ = {**kept, "data": data, "typestr": f"|V{array.itemsize}"}
        self.holds = holds


def held(array: np.ndarray, *holds: Any, writable: bool = False) -> np.ndarray:
    """The same memory as a new array, read-only unless ``writable``, which refers to ``array`` and ``holds``.

    >>> a = np.arange(3)
    >>> b = held(a[1:], a)
    >>> b.tolist(), b.flags.writeable, np.shares_memory(a, b)
    ([1, 2], False, True)
    """
    return np.asarray(_Held(array, (array, holds), writable)).view(array.dtype)


def on_host(backend: Backend, value: Any, root: Any) -> np.ndarray:
    """The value as a read-only array, on its own memory where that is the host's and NumPy can look at it.

    ``root`` is the root value where this one is a view, else None.
    """
    lent = backend.dlpack(value)
    if not isinstance(lent, np.ndarray):
        return backend.to_host(value)
    if root is not None:
        return held(lent, value, root)
    view = lent.view()
    view.flags.writeable = False
    return view
