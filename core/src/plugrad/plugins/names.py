"""Names: what a legal one looks like, what a target names. Knows no registry."""

from __future__ import annotations

import pkgutil
import re
from typing import Any

from ..errors import PluginError

Form = tuple[str, str]
"""A pattern, and an example of what it allows."""
WORD: Form = r"[a-z][a-z0-9_]*", "cuda"
DOTTED: Form = rf"{WORD[0]}(\.{WORD[0]})*", "nn.attention"
LABEL: Form = r"[A-Za-z][A-Za-z0-9_.-]*", "adamw"
MODULE: Form = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", "package.ops"
TARGET: Form = f"{MODULE[0]}:{MODULE[0]}", "package.module:attribute"

BROKEN = (Exception, SystemExit)
"""What foreign code may raise while it is imported or asked: a plugin that calls ``sys.exit`` must not end the host."""


def check(what: str, name: object, form: Form) -> None:
    """PluginError, with an example, unless ``name`` is a string of this form."""
    pattern, example = form
    if not isinstance(name, str) or not re.fullmatch(pattern, name):
        raise PluginError(f"{what}: {name!r} is not a valid name; write it like {example!r}")


def because(text: str, reason: str) -> str:
    """``"text: reason"``, or the text alone."""
    return f"{text}: {reason}" if reason else text


def cause(error: BaseException) -> str:
    """An exception in one line: its type and the first line of its text."""
    return because(type(error).__name__, str(error).strip().partition("\n")[0])


def resolve(target: str, what: str) -> Any:
    """Import what ``"package.module:attribute"`` (or a module's name) names; PluginError beginning with ``what``."""
    try:
        return pkgutil.resolve_name(target if ":" in target else f"{target}:")
    except BROKEN as error:
        raise PluginError(f"{what}: cannot import {target!r}: {cause(error)}; reinstall or upgrade it") from error
