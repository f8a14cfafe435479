"""A new distribution, from its name to the text of its files. All is checked and rendered before it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from ...backend import API
from .kinds import Kind
from .names import PREFIX, ScaffoldError, check_distribution, check_name, version_of

SUFFIX = ".tmpl"
"""Of the templates: it keeps tools from taking them for Python."""


@dataclass(frozen=True)
class Project:
    """A distribution that may be written: where, and the text of every file by its path below that folder."""

    folder: Path
    texts: dict[str, str]

    def write(self) -> None:
        """Write the files; ScaffoldError if the system does not let us."""
        try:
            for name, text in self.texts.items():
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise ScaffoldError(f"{self.folder}: cannot be written: {error}; choose another --path") from error


def plan(kind: Kind, name: str, folder: Path | None = None, author: str = "", distribution: str = "") -> Project:
    """The distribution of this kind and name, unwritten.

    ``folder`` is by default that of the distribution's name in the current one. ScaffoldError for names that are
    malformed, reserved or taken, for a folder that holds something, and where what it builds on is not installed.
    """
    registered = check_name(name, kind.label)
    dashed = registered.replace("_", "-")
    distribution = distribution or PREFIX + dashed
    variables = {
        "name": registered,
        "dashed": dashed,
        "title": "".join(word.capitalize() for word in registered.split("_")),
        "kind": kind.folders[-1],
        "distribution": distribution,
        "package": check_distribution(distribution),
        "authors": authors(author),
        "needs": "".join(f', "{need}{bounds(need, version_of(need))}"' for need in ("plugrad", *kind.needs))[2:],
        "api": repr(API),
    }
    variables["description"] = Template(kind.description).substitute(variables)
    variables["subject"] = Template(kind.subject).substitute(variables)
    variables["provides"] = "".join(f'    "{Template(text).substitute(variables)}",\n' for text in kind.provides)
    where = Path(distribution) if folder is None else folder
    _free(where)
    return Project(where, dict(sorted(render(kind, variables).items())))


def bounds(what: str, version: str | None) -> str:
    """The bounds on a dependency that has this version now: this minor release or a later one of the same major.

    >>> bounds("plugrad", "1.4.2"), bounds("plugrad", "0.2.dev3")
    ('>=1.4,<2', '>=0.2.dev0,<1')
    """
    found = re.match(r"(\d+)(?:\.(\d+))?(?:\.\d+)*(.*)", version or "")
    if found is None:
        raise ScaffoldError(f"{what} {version or 'without metadata'}: no version to depend on; install {what} first")
    major, minor, rest = found.groups()
    early = ".dev0" if re.match(r"[._-]?(a|b|c|rc|alpha|beta|pre|preview|dev)", rest) else ""
    return f">={major}.{minor or 0}{early},<{int(major) + 1}"


def authors(author: str) -> str:
    """The line of pyproject.toml for ``"Name"`` or ``"Name <address>"``; nothing for nothing.

    >>> authors("Ada Lovelace <ada@example.org>")
    'authors = [{ name = "Ada Lovelace", email = "ada@example.org" }]\\n'
    """
    if not author:
        return ""
    found = re.fullmatch(r"\s*([^<>]*[^<>\s])\s*(?:<([^<>@\s]+@[^<>@\s]+)>)?\s*", author)
    if found is None or not author.isprintable():
        raise ScaffoldError(f"author {author!r}: write a name, or 'Name <address@host>'")
    name, address = [json.dumps(text, ensure_ascii=False) for text in found.groups("")]
    email = f", email = {address}" if found[2] else ""
    return f"authors = [{{ name = {name}{email} }}]\n"


def render(kind: Kind, variables: dict[str, str]) -> dict[str, str]:
    """The files of a kind. What templates/parts holds, texts that several share, are variables too."""
    templates = files(__package__) / "templates"
    shared = {parts[0].partition(".")[0]: text for parts, text in _templates(templates / "parts")}
    variables = {**variables, **{name: Template(text).substitute(variables) for name, text in shared.items()}}
    texts = {}
    for folder in kind.folders:
        for parts, text in _templates(templates / folder):
            path = "/".join(variables["package"] if part == "_package_" else part for part in parts)
            texts[path.removesuffix(SUFFIX).replace("dot_", ".")] = Template(text).substitute(variables)
    return texts


def _templates(folder: Traversable) -> Iterator[tuple[tuple[str, ...], str]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from (((item.name, *parts), text) for parts, text in _templates(item))
        elif item.name.endswith(SUFFIX):
            yield (item.name,), item.read_text(encoding="utf-8")


def _free(folder: Path) -> None:
    """ScaffoldError unless the folder is absent or empty; a fresh repository counts as empty."""
    try:
        held = sorted(path.name for path in folder.iterdir() if path.name != ".git") if folder.is_dir() else []
        blocked = next((part for part in (folder, *folder.parents) if part.exists() and not part.is_dir()), None)
    except OSError as error:
        raise ScaffoldError(f"{folder}: cannot be read: {error}; choose another --path") from error
    if blocked is not None or (folder.is_symlink() and not folder.exists()):
        raise ScaffoldError(f"{blocked or folder}: exists and is not a folder; choose another --path")
    if held:
        shown = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        raise ScaffoldError(f"{folder}: exists and holds {shown}; nothing is overwritten, so choose another --path")
