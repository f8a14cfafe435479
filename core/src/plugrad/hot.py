"""Which modules of the core are compiled, and whether from the sources that lie beside them. Standard library only: the
build asks too.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """The modules that are compiled where there is a compiler: those that have a ``.pxd``."""
    return sorted(".".join(path.relative_to(FOLDER).with_suffix("").parts) for path in FOLDER.rglob("*.pxd"))


def sources() -> list[Path]:
    """The files that are compiled: modules of ``names()``, and those that are nothing but Cython."""
    return [*[FOLDER.joinpath(*name.split(".")).with_suffix(".py") for name in names()], *sorted(FOLDER.rglob("*.pyx"))]


def digest() -> str:
    """A hash of all sources that are compiled, and of their types."""
    total = hashlib.sha256()
    for path in sorted([*FOLDER.rglob("*.pxd"), *sources()]):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def compiled() -> list[str]:
    """Those of ``names()`` that Python would import as extension modules."""
    found = [(name, importlib.util.find_spec(f"{__package__}.{name}")) for name in names()]
    return [name for name, spec in found if spec is not None and not str(spec.origin).endswith(".py")]


def stale() -> bool:
    """Whether what is compiled was made of other sources than those that lie here."""
    if not compiled():
        return False
    try:
        from ._slots import SOURCES
    except ImportError:
        return True
    return bool(digest() != SOURCES)
