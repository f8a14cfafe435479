"""What is to be checked: a distribution's folder, a package, a file, or something installed."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ...errors import suggest
from ...plugins.hookspecs import PROJECT
from .finding import LintError
from .source import APART, COMPILED, Tree

ASIDE = ("benchmarks", "build", "docs", "examples", "noxfile", "scripts", "setup", "src", "tasks", "tools")
"""What lies beside the packages of a flat layout."""
CORE = "plugrad.plugins.registrar"
"""A module that nothing but the core has."""


class Declared(NamedTuple):
    """A text of the metadata, and where it stands."""

    text: str
    path: Path
    line: int


@dataclass
class Target:
    """The sources, and what the metadata say. Without metadata (a package, a file) ``described`` is False.

    ``roots`` are the folders from which the packages can be imported.
    """

    tree: Tree
    roots: list[Path]
    name: str = ""
    described: bool = False
    entry_points: dict[str, Declared] = field(default_factory=dict)
    requires: list[Declared] = field(default_factory=list)
    project: Declared | None = None
    dynamic: tuple[str, ...] = ()
    faults: list[tuple[Path, int, str, str]] = field(default_factory=list)


def find(text: str) -> Target:
    """What a path or a distribution's name means; LintError, with a suggestion, if nothing, or if it is the core."""
    try:
        target = _find(text)
    except OSError as error:
        raise LintError(f"{text}: cannot be read: {error}; see who may read it") from error
    if CORE in target.tree.modules:
        raise LintError(f"{text}: is plugrad itself, which is no plugin; name a plugin's folder or distribution")
    return target


def _find(text: str) -> Target:
    path = Path(text)
    if text and path.is_dir():
        return _folder(path)
    if path.is_file():
        if path.suffix != ".py":
            raise LintError(f"{text}: is no Python file; name a .py file, a folder or a distribution")
        return _file(path)
    if os.sep in text or "/" in text or text.endswith(".py") or text.startswith("."):
        near = path.parent if path.parent.is_dir() else Path()
        raise LintError(f"{text}: does not exist{suggest(path.name, [item.name for item in near.iterdir()])}")
    return _installed(text)


def _folder(path: Path) -> Target:
    config = path / "pyproject.toml"
    if config.is_file():
        return _project(path, config)
    tree = Tree()
    if (path / "__init__.py").is_file():
        root = _root(path.resolve())
        _add_packages(tree, [root], [_top(path.resolve())])
        tree.focus = None if _top(path.resolve()) == path.resolve().name else path.resolve()
        return Target(tree, [root])
    inner = sorted({config.parent.name for config in path.glob("*/pyproject.toml")} - {*APART, *ASIDE})
    if inner:
        raise LintError(f"{path}: holds the distributions {', '.join(inner)}; name one of them")
    roots = [folder for folder in (path / "src", path) if folder.is_dir()]
    if not _add_packages(tree, roots[:1]) and not _add_packages(tree, roots):
        raise LintError(f"{path}: holds neither a pyproject.toml nor a package; name the folder of one, or a .py file")
    return Target(tree, roots)


def _file(path: Path) -> Target:
    tree = Tree(focus=path.resolve())
    root = _root(path.resolve())
    if root == path.resolve().parent:
        tree.add(path.resolve(), path.stem)
    else:
        _add_packages(tree, [root], [_top(path.resolve())])
    return Target(tree, [root])


def _root(path: Path) -> Path:
    """The folder from which a package or module can be imported."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _top(path: Path) -> str:
    return path.relative_to(_root(path)).parts[0]


def _add_packages(tree: Tree, roots: Iterable[Path], only: Iterable[str] = (), named: Iterable[str] = ()) -> bool:
    """Read what is below these folders, packages without ``__init__.py`` only if they are named; whether there was
    anything.
    """
    names, bare = set(only), {PROJECT, *only, *named}
    for root in roots:
        for item in sorted(root.iterdir()):
            stem = item.name.partition(".")[0]
            wanted = stem in names if names else stem not in (*APART, *ASIDE)
            if not wanted or not stem.isidentifier():
                continue
            package = item.is_dir() and ((item / "__init__.py").is_file() or (stem in bare and any(item.iterdir())))
            if package or (item.is_file() and item.suffix in (".py", *COMPILED)):
                tree.add(item, stem)
    return bool(tree.modules or tree.compiled or tree.broken)


def _project(folder: Path, config: Path) -> Target:
    roots = [folder / "src"] if (folder / "src").is_dir() else [folder]
    target = Target(Tree(), roots, described=True)
    try:
        text = config.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        _add_packages(target.tree, roots)
        found = re.search(r"line (\d+)", str(error))
        target.faults.append((config, int(found[1]) if found else 1, "PG805", f"cannot be read: {error}; mend it"))
        target.described = False
        return target
    project, lines = _table(table, "project"), text.splitlines()
    poetry = _table(table, "tool", "poetry")
    target.name = str(project.get("name", poetry.get("name", "")))
    target.project = Declared(target.name, config, _line(lines, r"\[(project|tool\.poetry)\]"))
    legacy = not project and any((folder / name).is_file() for name in ("setup.py", "setup.cfg"))
    dynamic = project.get("dynamic", [])
    target.dynamic = ("entry-points", "dependencies") if legacy else tuple(dynamic if isinstance(dynamic, list) else [])
    points = _table(project, "entry-points", PROJECT) or _table(poetry, "plugins", PROJECT)
    header = _line(lines, r"\[(project\.entry-points|tool\.poetry\.plugins)\.[\"']?plugrad[\"']?\]")
    for name, value in points.items():
        line = _line(lines, rf"[\"']?{re.escape(name)}[\"']?\s*=", header)
        target.entry_points[name] = Declared(str(value), config, line)
    tops = {re.split("[.:]", str(value).strip())[0] for value in points.values()}
    roots += _elsewhere(folder, tops) if tops and not any(_holds(root, tops) for root in roots) else []
    _add_packages(target.tree, roots, named=tops)
    listed = project.get("dependencies", [])
    for need in listed if isinstance(listed, list) else []:
        at = next((i for i, line in enumerate(lines, 1) if f'"{need}"' in line or f"'{need}'" in line), 1)
        target.requires.append(Declared(str(need), config, at))
    if poetry and not project:
        target.dynamic = (*target.dynamic, "dependencies")
    return target


def _holds(root: Path, tops: Iterable[str]) -> bool:
    return any((root / top).is_dir() or (root / f"{top}.py").is_file() for top in tops)


def _elsewhere(folder: Path, tops: Iterable[str]) -> list[Path]:
    """Folders in which a project may keep its packages in place of ``src``, if they hold one of these."""
    inner = [item for item in sorted(folder.iterdir()) if item.is_dir() and item.name.isidentifier()]
    return [item for item in inner if item.name not in (*APART, *ASIDE) and _holds(item, tops)]


def _table(table: dict[str, Any], *names: str) -> dict[str, Any]:
    """A table inside others; empty where there is none."""
    for name in names:
        inner = table.get(name, {})
        table = inner if isinstance(inner, dict) else {}
    return table


def _line(lines: list[str], pattern: str, start: int = 1) -> int:
    """The number of the first line that begins so, from ``start`` on."""
    found = (i for i, line in enumerate(lines, 1) if i >= start and re.match(rf"\s*{pattern}", line))
    return next(found, start)


def _installed(name: str) -> Target:
    try:
        found = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        known = sorted({str(d.name) for d in metadata.distributions() if d.name})
        hint = suggest(name, known)
        raise LintError(f"{name!r} is neither a path nor an installed distribution{hint}") from None
    folder = _editable(found)
    if folder is not None and (folder / "pyproject.toml").is_file():
        return _project(folder, folder / "pyproject.toml")
    return _distribution(found)


def _editable(found: metadata.Distribution) -> Path | None:
    """The folder of an editable installation."""
    try:
        url = json.loads(found.read_text("direct_url.json") or "{}")
        editable = url.get("dir_info", {}).get("editable")
        return Path(url2pathname(unquote(urlsplit(url["url"]).path))) if editable else None
    except (ValueError, KeyError, AttributeError):
        return None


def _distribution(found: metadata.Distribution) -> Target:
    """A distribution as it lies on the path."""
    tops = {file.parts[0].partition(".")[0] for file in found.files or () if str(file).endswith((".py", *COMPILED))}
    points = {p.name: p for p in found.entry_points if p.group == PROJECT}
    tops = (tops or {p.value.partition(":")[0].partition(".")[0] for p in points.values()}) - {""}
    root, folder = Path(str(found.locate_file(""))), Path(str(getattr(found, "_path", "")))
    tree = Tree()
    if not _add_packages(tree, [root], tops or {found.name}):
        raise LintError(f"{found.name}: its sources are not in {root}; reinstall it, or name its folder")
    target = Target(tree, [root], found.name, True)
    entries, needs = folder / "entry_points.txt", folder / "METADATA"
    lines = (found.read_text("entry_points.txt") or "").splitlines()
    header = _line(lines, r"\[plugrad\]")
    for name, point in points.items():
        line = _line(lines, rf"{re.escape(name)}\s*=", header)
        target.entry_points[name] = Declared(point.value, entries, line)
    lines = (found.read_text("METADATA") or "").splitlines()
    target.project = Declared(found.name, needs, 1)
    for need in found.requires or ():
        target.requires.append(Declared(need, needs, _line(lines, rf"Requires-Dist: {re.escape(need)}")))
    return target
