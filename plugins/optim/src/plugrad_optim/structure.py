"""Parameters and gradients as trees side by side: leaves with dotted paths, alignment, rebuilding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import plugrad as pg
from plugrad.errors import ShapeError

Leaves = dict[str, pg.Tensor]


def trained(name: str, params: Any) -> Leaves:
    """The leaves to train, each once, by dotted path: a Module's Parameters, every floating tensor of other trees."""
    found: Leaves = {}
    for path, t, wanted in _walk(params, "", False, set()):
        if not wanted:
            continue
        if path in found:
            raise ShapeError(f"{name}: two parameters have the path {path!r}; rename a key that has a dot in it")
        found[path] = t
    if not found:
        raise ShapeError(
            f"{name}: params ({type(params).__name__}) hold nothing to train; "
            "give a Module with Parameters, or a list or dict of floating-point tensors"
        )
    return found


def aligned(name: str, params: Any, grads: Any) -> dict[str, pg.Tensor | None]:
    """The gradient of each trained leaf by path, None where there is none. ShapeError where the trees do not agree.

    A tied leaf is there under each of its paths; the first is the one that ``trained`` knows.
    """
    found: dict[str, pg.Tensor | None] = {}
    _align(name, params, grads, "", False, found)
    return found


def rebuilt(params: Any, new: dict[int, pg.Tensor]) -> Any:
    """The same tree with other leaves: ``new`` maps the identity of a handle to what takes its place."""
    return _rebuild(params, new, {})


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _children(x: Any) -> list[tuple[Any, Any]] | None:
    """The parts of a container with their names; None for a leaf or a static value."""
    if isinstance(x, pg.Module):
        return list(vars(x).items())
    if isinstance(x, dict):
        return list(x.items())
    if isinstance(x, (list, tuple)):
        return list(enumerate(x))
    if x is None or isinstance(x, pg.Tensor):
        return None
    leaves = pg.tree.leaves(x)  # a container registered by somebody else
    return list(enumerate(leaves)) if leaves else None


def _walk(x: Any, path: str, in_module: bool, seen: set[int]) -> Iterator[tuple[str, pg.Tensor, bool]]:
    if isinstance(x, pg.Tensor):
        if id(x) not in seen:
            seen.add(id(x))
            yield path or "0", x, x.trained(in_module)
        return
    for key, child in _children(x) or ():
        yield from _walk(child, _join(path, key), in_module or isinstance(x, pg.Module), seen)


def _align(name: str, p: Any, g: Any, path: str, in_module: bool, found: dict[str, pg.Tensor | None]) -> None:
    if isinstance(p, pg.Tensor):
        if p.trained(in_module):
            found[path or "0"] = _gradient(name, p, g, path or "0")
        return
    parts = _children(p)
    if parts is None:
        return
    given = {key: None for key, _ in parts} if g is None else dict(_children(g) or ())
    if given.keys() != {key for key, _ in parts}:
        keys = f"{', '.join(map(str, given)) or 'nothing'} in the place of {', '.join(str(key) for key, _ in parts)}"
        raise ShapeError(
            f"{name}: the gradients at {path or 'the root'} have {keys}; "
            "their structure must be that of params, as grad(f)(params) gives it"
        )
    for key, child in parts:
        _align(name, child, given[key], _join(path, key), in_module or isinstance(p, pg.Module), found)


def _gradient(name: str, p: pg.Tensor, g: Any, path: str) -> pg.Tensor | None:
    if g is None:
        return None
    if not isinstance(g, pg.Tensor):
        raise ShapeError(f"{name}: the gradient of {path!r} is a {type(g).__name__}; give a tensor of shape {p.shape}")
    if g.shape != p.shape:
        raise ShapeError(f"{name}: the gradient of {path!r} has shape {g.shape}; give it the parameter's, {p.shape}")
    return g


def _rebuild(x: Any, new: dict[int, pg.Tensor], made: dict[int, Any]) -> Any:
    if isinstance(x, pg.Tensor):
        return _same_kind(x, new[id(x)], made) if id(x) in new else x
    if isinstance(x, pg.Module):
        if id(x) not in made:
            copied = made[id(x)] = object.__new__(type(x))
            copied.__dict__.update({k: _rebuild(v, new, made) for k, v in vars(x).items()})
        return made[id(x)]
    if isinstance(x, dict):
        return {k: _rebuild(v, new, made) for k, v in x.items()}
    if isinstance(x, list):
        return [_rebuild(v, new, made) for v in x]
    if isinstance(x, tuple):
        parts = [_rebuild(v, new, made) for v in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    if x is None:
        return None
    leaves, _, build = pg.tree.flatten(x)
    return build([_rebuild(t, new, made) for t in leaves]) if leaves else x


def _same_kind(old: pg.Tensor, value: pg.Tensor, made: dict[int, Any]) -> pg.Tensor:
    """A Parameter stays one. It is a leaf of ``backward()``, but stays on the graph of a ``grad`` around the update."""
    if not isinstance(old, pg.Parameter):
        return value
    if id(old) not in made:
        p = made[id(old)] = pg.Parameter(value)
        if value.mask & ~1:
            p.node, p.mask, p.ix = value.node, value.mask & ~1, value.ix
    return made[id(old)]
