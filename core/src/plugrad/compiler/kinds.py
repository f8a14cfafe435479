"""Kinds of calls: what a graph depends on besides values, and in words what is new about a call of another kind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..backend import device_name
from ..dtypes import DTYPES
from ..ops import creation
from ..state import RECORDING, State
from ..tape import live
from ..tensor import Tensor


class Kind(NamedTuple):
    """What a graph depends on besides the values: structure with static parts, which may not be hashable; the rest."""

    structure: Any
    rest: tuple[Any, ...]

    def __hash__(self) -> int:
        return hash(self.rest)


def kind_of(leaves: list[Tensor], structure: Any, named: bool, here: State, sizes: dict[int, int]) -> Kind:
    """The kind of a call. ``named``: the last argument is the dict of the keyword arguments. ``sizes`` has the places
    of the tensors with a batch of any size.
    """
    shapes = [(None, *t.shape[1:]) if i in sizes else t.shape for i, t in enumerate(leaves)]
    places = [
        (type(t), s, t.dt, t.be, t.dev, t.mask and live(t, here) & 1) for s, t in zip(shapes, leaves, strict=True)
    ]
    recorded = here.mask & (RECORDING | 1)
    return Kind(structure.signature(), (*places, creation.place(None), here.strict, here.draws, named, recorded))


_AROUND = (
    "the default device",
    "promotion=",
    "randomness=",
    "keyword arguments",
    "what records (no_grad, or a transformation around)",
)
"""What a kind ends with."""


def described(kind: Kind, f: Any) -> list[str]:
    """The arguments of a kind: "x: float32 (4, 3) on cpu" for tensors, "n: 2" for static parts."""
    found = []
    for path, part in _parts(kind, f):
        if type(part) is int:
            found.append(f"{path}: {_leaf(kind.rest[part])} on {device_name(kind.rest[part][3:5])}")
        elif not _is_container(part):
            found.append(f"{path}: {_static(part)}")
    return found


def difference(new: Kind, old: Kind, f: Any) -> list[str]:
    """What is new about a kind, each in words such as "x: float32 (4, 3), was (8, 3)"; empty if nothing."""
    theirs, mine = dict(_parts(old, f)), dict(_parts(new, f))
    same, then = _firsts(mine), _firsts(theirs)
    found = []
    for path, part in mine.items():
        if path not in theirs:
            found.append(f"{path} is new")
            continue
        before = theirs.pop(path)
        if type(part) is int and type(before) is int:
            found += _changed(path, new.rest[part], old.rest[before])
            if same[path] != then[path]:
                parted = same[path] == path
                found.append(f"{path} is {'no longer ' if parted else ''}{(then if parted else same)[path]}")
        elif _is_container(part) and _is_container(before):
            found += [f"{path} has another structure"] if _differ(part[:2], before[:2]) else []
        elif _differ(part, before):
            found.append(f"{path}: {_any(part, new)}, was {_any(before, old)}")
    found += [f"{path} is gone" for path in theirs]
    ends = zip(_AROUND, new.rest[-len(_AROUND) :], old.rest[-len(_AROUND) :], strict=True)
    return found + [f"{what} changed" for what, a, b in ends if a != b and what != _AROUND[3]]


def _firsts(parts: dict[str, Any]) -> dict[str, str]:
    """For the path of each tensor the first path with the same tensor."""
    first: dict[int, str] = {}
    return {path: first.setdefault(part, path) for path, part in parts.items() if type(part) is int}


def news(new: Kind, known: list[Kind], f: Any) -> str:
    """What is new about a kind against the one that it differs least from."""
    found = min([difference(new, old, f) for old in reversed(known)], key=len, default=[])
    return "; ".join(found) or "the arguments are of a new kind"


def _changed(path: str, new: Any, old: Any) -> Iterator[str]:
    """In what two tensors differ. ``new`` and ``old`` are (type, shape, dtype, backend, device, recorded)."""
    if new[1:3] != old[1:3]:
        was = _leaf(old) if new[2] != old[2] else str(old[1])
        yield f"{path}: {_leaf(new)}, was {was}"
    if new[3:5] != old[3:5]:
        yield f"{path}: on {device_name(new[3:5])}, was on {device_name(old[3:5])}"
    if new[0] is not old[0]:
        yield f"{path}: a {new[0].__name__}, was a {old[0].__name__}"
    if bool(new[5]) != bool(old[5]):
        yield f"{path}: {'now' if new[5] else 'no longer'} recorded by backward()"


def _leaf(place: Any) -> str:
    return f"{DTYPES[place[2]].name} {place[1]}".replace("(None", "(any")


def _any(part: Any, kind: Kind) -> str:
    """A tensor, a container or a static part."""
    if type(part) is int:
        return _leaf(kind.rest[part])
    return f"a {getattr(part[1], '__name__', 'container')}" if _is_container(part) else _static(part)


def _static(part: Any) -> str:
    if isinstance(part[0], np.dtype):  # an array, as dtype, shape, bytes
        return f"an array of {part[0]} {part[1]}"
    try:
        text = repr(part[1])
    except Exception:  # it is the user's, and no reason to fail here
        text = f"a {type(part[1]).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _differ(a: Any, b: Any) -> bool:
    """Whether two parts are not equal, or cannot say so."""
    try:
        return bool(a != b)
    except Exception:  # such as arrays of another library, which compare element by element
        return True


def _is_container(part: Any) -> bool:
    return type(part) is tuple and len(part) == 3 and type(part[2]) is tuple


def _parts(kind: Kind, f: Any) -> Iterator[tuple[str, Any]]:
    """All parts of the arguments, with where they stand, such as ``x['a'][1]`` or ``net.weight``: containers, static
    parts, and numbers for tensors.
    """
    named = bool(kind.rest[-2])
    children = kind.structure[2]
    names = _names(f, len(children) - named)
    for name, (_, part) in zip(names, children, strict=False):
        yield from _walk(part, name)
    if named:
        for key, part in children[-1][1][2]:
            yield from _walk(part, str(key))


def _walk(part: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, part
    if _is_container(part):
        for key, child in part[2]:
            yield from _walk(child, f"{path}.{key}" if part[0].is_module else f"{path}[{key!r}]")


def _names(f: Callable[..., Any], count: int) -> list[str]:
    """The names of the first parameters of a function."""
    found: list[str] = []
    try:
        for p in inspect.signature(f).parameters.values():
            many = p.kind is p.VAR_POSITIONAL
            names = [f"{p.name}[{i}]" for i in range(count - len(found))] if many else [p.name]
            found += names if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL) else []
    except (TypeError, ValueError):  # some functions in C do not tell
        pass
    return [*found[:count], *[f"argument {i}" for i in range(len(found), count)]]
