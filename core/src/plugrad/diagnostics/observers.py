"""``observe``: whoever wants to hear of kernels, a function, an Observer, or the name that a plugin registered."""

from __future__ import annotations

import contextlib
from typing import Any

from ..errors import ArgumentError, article
from ..plugins import roads
from ..state import Observer, state, within


def observe(observer: Any) -> contextlib.AbstractContextManager[Any]:
    """Within the block, in this thread, ``observer(op, backend, how)`` hears of every kernel that runs; ``how`` is
    native or fallback.

    An ``Observer``, or a class of them, hears of more, and in every thread. A string is what a plugin registered
    under that name, such as "profile" and "find_nan" of the core; UnknownNameError for another.

    >>> import plugrad
    >>> heard = []
    >>> x = plugrad.asarray([1.0], device="numpy")
    >>> with observe(lambda op, backend, how: heard.append((op, backend, how))):
    ...     y = x + x
    >>> heard
    [('add', 'numpy', 'native')]
    >>> with observe("profile") as profile:
    ...     y = x + x
    >>> [row.op for row in profile.table()]
    ['add']
    """
    found = roads.observer(observer) if isinstance(observer, str) else observer
    made = found() if isinstance(found, type) else found
    if not isinstance(made, Observer) and not callable(made):
        wrong = f"got {article(type(made).__name__)}"
        raise ArgumentError(f"observe: {wrong}; give a function of (op, backend, how), an Observer, or a name")
    return made if isinstance(made, Observer) else within(observers=(*state().observers, made))
