"""DLPack: memory of tensors for other libraries, and theirs for tensors, without a copy where both can use it.

NumPy makes and reads the capsules. For what it cannot (the floats of ml_dtypes, memory of other devices) components of
a plugin do, if one is installed: ``("dlpack", "export")`` is a function ``export(interface, code, bits, device, *,
versioned, read_only, copied, holds)`` that makes a capsule, ``("dlpack", "take")`` a function ``take(capsule)`` that
gives an array of unsigned integers of the elements' size, with their code and bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import BACKENDS
from ..dtypes import BF2, DTYPES, F1E4, F1E5
from ..errors import ExchangeError, UnknownNameError, article, shown
from ..host import held, on_host
from ..ownership import sole
from ..plugins import component
from ..tensor import LENT, Tensor, install

HOST = (1, 0)
"""The host's memory, as a DLPack device: its kind and number."""
HOST_KINDS = frozenset({1, 3, 11, 13})
"""Kinds of memory that the host can read: its own, pinned for a GPU, and managed."""
_UNKNOWN_TO_NUMPY = {BF2: (4, 16), F1E4: (10, 8), F1E5: (12, 8)}
"""DLPack's code and bits (its version 1.1) of the dtypes that NumPy does not exchange."""
_KINDS = {"b": 6, "i": 0, "u": 1, "f": 2, "c": 5}


# -- out


def to_dlpack(
    x: Tensor, /, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
) -> Any:
    """A DLPack capsule of the tensor's memory; what ``from_dlpack`` of other libraries calls.

    It is read-only, since values never change. A consumer that cannot be told so (``max_version`` below 1.0) gets a
    copy, or with ``copy=False`` the memory itself, which it must not write. What runs backwards through its memory is
    copied too, unless ``copy=False``: not every library can read it. To the host's memory (``dl_device=(1, 0)``)
    a tensor of another device is copied. ExchangeError for a recorded tensor, and where a copy is needed that
    ``copy=False`` forbids.
    """
    t = x.concrete("dlpack")
    if x.followed:
        raise ExchangeError(f"dlpack: this {x.describe()} is recorded, and its gradient would be lost; use .detach()")
    old = max_version is None or max_version[0] < 1
    alone = t.base is LENT or sole(t)  # before anything else refers to the value
    lent = BACKENDS[t.be].dlpack(t.val)
    place = _place(lent, t)
    if dl_device is not None and (int(dl_device[0]), int(dl_device[1])) != place:
        if int(dl_device[0]) != HOST[0] or copy is False:
            asked = f"DLPack device {tuple(map(int, dl_device))}"
            raise ExchangeError(
                f"dlpack: this {t.describe()} does not reach {asked} without a copy; move it with .to()"
            )
        host = on_host(BACKENDS[t.be], t.val, t.root)
        return _capsule(t, host, HOST, stream, old, max_version, True)
    if isinstance(lent, np.ndarray) or not hasattr(lent, "__dlpack__"):
        return _capsule(t, lent, place, stream, old, max_version, copy)
    given = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
    given = {name: value for name, value in given.items() if value is not None}
    if copy:
        return lent.__dlpack__(**given)
    if not alone:  # the library's capsule refers to the memory, not to the value: another handle might still write it
        if copy is False:
            raise ExchangeError(f"dlpack: other tensors share the memory of this {t.describe()}; use .copy() first")
        t = t.detach().copy()
        lent = BACKENDS[t.be].dlpack(t.val)
    t.base = LENT
    return lent.__dlpack__(**given)


def dlpack_device(x: Tensor, /) -> tuple[int, int]:
    """The device as DLPack numbers it: its kind (1 the host, 2 CUDA) and which of them."""
    t = x.concrete("dlpack_device")
    return _place(BACKENDS[t.be].dlpack(t.val), t)


def _place(lent: Any, t: Tensor) -> tuple[int, int]:
    if not hasattr(lent, "__dlpack_device__"):
        raise ExchangeError(f"dlpack: {BACKENDS[t.be].name} hands out no memory; use .numpy(), which copies")
    return place_of(lent)


def place_of(obj: Any) -> tuple[int, int]:
    """Where an object that speaks DLPack has its memory."""
    kind, number = obj.__dlpack_device__()
    return int(kind), int(number)


def _capsule(
    t: Tensor, lent: Any, place: tuple[int, int], stream: Any, old: bool, max_version: Any, copy: bool | None
) -> Any:
    """A capsule of an array on the host, or of what describes its memory by ``__cuda_array_interface__``."""
    flipped = isinstance(lent, np.ndarray) and any(step < 0 for step in lent.strides)  # aborts PyTorch 2.13
    copied = bool(copy) or (copy is None and (old or flipped))
    writable = copied or old
    if isinstance(lent, np.ndarray):
        if stream is not None:
            raise ExchangeError(f"dlpack: memory of the host has no streams, got stream={shown(stream)}; leave it out")
        if t.dt not in _UNKNOWN_TO_NUMPY:
            array = lent if copied else held(lent, t.val, t.root, writable=writable)
            return array.__dlpack__(max_version=max_version, copy=copied or None)
        array = np.array(lent) if copied else lent
        interface = array.__array_interface__
    else:
        if copied and copy is None:
            raise ExchangeError("dlpack: the consumer is older than DLPack 1.0; let it pass copy=False, and not write")
        if copied:
            t = t.detach().copy()
            lent = BACKENDS[t.be].dlpack(t.val)
        if stream != -1:
            BACKENDS[t.be].synchronize(t.dev)
        array, interface = lent, lent.__cuda_array_interface__
    code, bits = _UNKNOWN_TO_NUMPY.get(t.dt) or (_KINDS[t.dtype.kind], 8 * t.dtype.itemsize)
    flags = {"versioned": not old, "read_only": not writable, "copied": copied}
    return _component("export", t.dtype)(interface, code, bits, place, **flags, holds=(array, t.val, t.root))


def _component(name: str, dtype: Any) -> Any:
    """The plugin's function that makes or reads capsules."""
    try:
        return component("dlpack", name)
    except UnknownNameError as error:
        remedy = f"cast it, or install a plugin with the component ('dlpack', {name!r})"
        raise ExchangeError(f"dlpack: NumPy does not exchange {dtype}; {remedy}") from error


# -- in


def host_array(obj: Any, place: tuple[int, int], copy: bool | None) -> np.ndarray:
    """Another library's array as a NumPy array, on its memory where that is the host's.

    NumPy refuses what it cannot represent; what the producer says against it is the producer's own error.
    """
    if not hasattr(obj, "__dlpack__"):
        raise ExchangeError(f"from_dlpack: {article(type(obj).__name__)} has no __dlpack__; use asarray")
    given: dict[str, Any] = {} if copy is None else {"copy": copy}
    if place[0] not in HOST_KINDS:
        given["device"] = "cpu"
    try:
        return np.from_dlpack(obj, **given)
    except ExchangeError:
        raise
    except (BufferError, RuntimeError, TypeError) as error:
        refusal = error
    try:
        take = _component("take", "it")
    except ExchangeError:
        raise ExchangeError(f"from_dlpack: {refusal}; copy, cast or detach it in its own library first") from refusal
    if place[0] not in HOST_KINDS and copy is False:
        raise ExchangeError("from_dlpack: another device's memory needs a copy, and copy=False was asked") from refusal
    array, code, bits = take(_asked(obj, place))
    found = next((dt for dt, known in _UNKNOWN_TO_NUMPY.items() if known == (code, bits)), None)
    if found is None:
        raise ExchangeError(f"from_dlpack: {refusal}; copy, cast or detach it in its own library first") from refusal
    view = array.view(DTYPES[found])
    return np.array(view) if copy else view


def _asked(obj: Any, place: tuple[int, int]) -> Any:
    """A capsule, in the newest form that the producer knows; its memory is the host's."""
    if place[0] not in HOST_KINDS:
        return obj.__dlpack__(max_version=(1, 0), dl_device=HOST)
    try:
        return obj.__dlpack__(max_version=(1, 0))
    except TypeError:  # a producer of before DLPack 1.0
        return obj.__dlpack__()


install(__dlpack__=to_dlpack, __dlpack_device__=dlpack_device)
