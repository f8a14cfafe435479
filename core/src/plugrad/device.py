"""Device names: ``"cpu"``, ``"cuda:1"``.

A name is a backend's name and an ordinal; what exists is for the backends to say.
"""

from __future__ import annotations

from .errors import DeviceError


def parse(name: object) -> tuple[str, str]:
    """Backend name and ordinal of a device name.

    >>> parse("cuda:1"), parse("cpu")
    (('cuda', '1'), ('cpu', '0'))
    """
    backend, colon, ordinal = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not backend or (colon and not ordinal.isdigit()):
        raise DeviceError(f"device: {name!r} is not a device name; use a backend's, or with a number: 'cpu', 'cuda:0'")
    return backend, str(int(ordinal)) if colon else "0"
