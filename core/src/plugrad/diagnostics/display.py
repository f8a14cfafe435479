"""How a tensor prints: values, dtype, device, and its place on the tape. Never raises."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ..backend import BACKENDS
from ..op import OPS
from ..plugins.names import cause
from ..state import within
from ..table import state_of
from ..tensor import Tensor, install


def shown(t: Tensor) -> str:
    """What ``repr`` shows. dtype and device always: the defaults of who reads it may be others.

    A tensor inside a transformation, or one that cannot be read, shows which, and its shape. A big one is summarised
    as NumPy's print options say. ``op`` is the one that made a recorded tensor.

    >>> asarray([1.0, 2.0])
    Tensor([1., 2.], dtype=float32, device='numpy')
    >>> asarray(3.0).requires_grad_() * 2
    Tensor(6., dtype=float32, device='numpy', requires_grad=True, op=mul)
    """
    name, big = type(t).__name__, t.size > np.get_printoptions()["threshold"]
    try:
        array = None if t.tr is not None or t.val is None else _visible(t)
        body = (
            f"<{_levels(t)}>"
            if array is None
            else np.array2string(array, separator=", ", prefix=name + "(", threshold=0 if big else t.size)
        )
    except Exception as error:
        array, body = None, f"<cannot be read: {cause(error)}>"
    notes = [body]
    if array is None or big or (t.size == 0 and t.ndim > 1):
        notes.append(f"shape={t.shape}")
    notes += [f"dtype={t.dtype}", f"device={t.device!r}"]
    notes += ["requires_grad=True"] if t.requires_grad else []
    maker = getattr(t.node and t.node.op, "name", None)
    notes += [f"op={maker}"] if maker else []
    return f"{name}({', '.join(notes)})"


def _levels(t: Any) -> str:
    """The transformations that a value is inside, the innermost first."""
    names = []
    while isinstance(t, Tensor) and t.tr is not None:
        names.append(t.tr.name if t.tr.alive else f"{t.tr.name} that has ended")
        t = t.val
    return " in ".join(names) or "not kept"


def _visible(t: Tensor) -> np.ndarray:
    """The value on the host; of one too big to print and not on the host, only the edges that NumPy shows, and one
    element between them that it does not.
    """
    backend, options = BACKENDS[t.be], np.get_printoptions()
    edge = int(options["edgeitems"])
    if t.size <= options["threshold"] or t.be == 0 or state_of(OPS["slice"], t.be, t.dt) != "native":
        return np.asarray(backend.to_host(t.val))
    kept = [min(d, 2 * edge + 1) for d in t.shape]
    out = np.empty(kept, t.dtype)
    ends = [[slice(0, edge + 1), slice(-edge, None)] if d > n else [slice(None)] for d, n in zip(t.shape, kept)]
    with within(mask=0, stage=None, capture=None, top=None, observers=()):
        for place in itertools.product(*ends):
            out[place] = backend.to_host(t[place].val)
    return out


install(__repr__=shown)
