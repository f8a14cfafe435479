"""Puts bytes into a file so that, whatever happens, the file is either the old one or the new one.

Knows nothing of what they mean.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the file at ``path`` by one that holds ``data``; returns when it and its folder entry are on the disk.

    The bytes go to a temporary file in the same folder, which then takes the name in one step. A process killed on
    the way leaves the old file whole, and perhaps a ``.NAME.*.tmp`` that may be deleted. A symbolic link is followed,
    not replaced.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder last.

    Only POSIX can open a folder for this; elsewhere the rename itself has to do.
    """
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
