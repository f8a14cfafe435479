"""Names: what a legal one looks like, what a mistyped one may have meant, what a target names. Knows no registry."""

from __future__ import annotations

import difflib
import pkgutil
import re
from collections.abc import Iterable
from typing import Any

from ..errors import PluginError

WORD = re.compile(r"[a-z][a-z0-9_]*")
DOTTED = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

BROKEN = (Exception, SystemExit)
"""What foreign code may raise while it is imported or asked: a plugin that calls ``sys.exit`` must not end the host."""


def check(what: str, name: object, pattern: re.Pattern[str], example: str) -> str:
    """``name`` if it is a string of this form; raises PluginError that shows ``example``."""
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise PluginError(f"{what}: {name!r} is not a valid name; write it like {example!r}")
    return name


def suggest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` with the closest known name, or an empty string.

    >>> suggest("cdua", ["cpu", "cuda"])
    " (did you mean 'cuda'?)"
    """
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def cause(error: BaseException) -> str:
    """An exception in one line: its type and the first line of its text."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def resolve(target: str, what: str) -> Any:
    """Import what ``"package.module:attribute"`` (or a module's name) names; PluginError beginning with ``what``."""
    try:
        return pkgutil.resolve_name(target if ":" in target else f"{target}:")
    except BROKEN as error:
        raise PluginError(f"{what}: cannot import {target!r}: {cause(error)}; reinstall or upgrade it") from error
