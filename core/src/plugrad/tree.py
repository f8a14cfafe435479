"""pytrees: any nesting of tuples, named tuples, lists, dicts and registered classes, seen as a flat list of leaves.

A leaf (a tensor) is visited once within one tree: tied weights are one leaf, so they get one gradient, the sum of both
uses. Everything that is neither a leaf nor a registered container is static and travels with the structure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

Flatten = Callable[[Any], tuple[Iterable[Any], Any]]
Unflatten = Callable[[Any, list[Any]], Any]
Successor = Callable[[Any], Any]


class _Container(NamedTuple):
    flatten: Flatten
    unflatten: Unflatten
    is_module: bool
    names: Callable[[Any], tuple[Any, ...]] | None


class _Leaf(NamedTuple):
    """A leaf, by its position in the flat list."""

    place: int


class _Static(NamedTuple):
    value: Any


class _Node(NamedTuple):
    container: _Container
    aux: Any
    children: tuple[Any, ...]


_containers: dict[type, _Container] = {}
_leaf_types: tuple[Any, ...] = ()


def register(
    cls: type,
    flatten: Flatten,
    unflatten: Unflatten,
    *,
    is_module: bool = False,
    names: Callable[[Any], tuple[Any, ...]] | None = None,
) -> None:
    """Make instances of ``cls`` and its subclasses containers: ``flatten(x) -> (children, aux)``, ``unflatten(aux,
    children) -> x``.
    """
    _containers[cls] = _Container(flatten, unflatten, is_module, names)


def register_leaf(cls: type) -> None:
    """Make instances of ``cls`` leaves.

    They answer ``trained(in_module)``: is a gradient wanted? And ``successor(in_module)``: None, or what to make of a
    new leaf that takes this one's place, so that a Module built around new values still knows its Parameters.
    """
    global _leaf_types
    _leaf_types = (*_leaf_types, cls)


class TreeDef:
    """The structure of a tree without its leaves. Calling it with new leaves builds the same tree around them."""

    __slots__ = ("count", "root", "successors")

    def __init__(self, root: Any, successors: list[Successor | None]) -> None:
        self.root, self.count, self.successors = root, len(successors), successors

    def __call__(self, leaves: Iterable[Any]) -> Any:
        leaves = list(leaves)
        if len(leaves) != self.count:
            raise ValueError(f"tree: the structure has {self.count} leaves, {len(leaves)} were given")
        return _build(self.root, {}, [x if s is None else s(x) for x, s in zip(leaves, self.successors, strict=True)])

    def signature(self) -> Any:
        """A value equal for equal structures, static parts included; hashable when they are."""
        return _signature(self.root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TreeDef) and self.signature() == other.signature()

    __hash__ = None  # type: ignore[assignment]


def flatten(tree: Any, *, unique: bool = True) -> tuple[list[Any], list[bool], TreeDef]:
    """Leaves, whether each is to be trained, and the structure. Without ``unique``, a leaf that occurs twice is two
    leaves.

    >>> leaves, trained, rebuild = flatten({"a": (1, None)})
    >>> leaves, rebuild([])
    ([], {'a': (1, None)})
    """
    walk = _Walk({} if unique else None)
    root = walk.visit(tree, False)
    return walk.leaves, walk.trained, TreeDef(root, walk.successors)


def leaves(tree: Any) -> list[Any]:
    """The leaves of a tree, each once."""
    return flatten(tree)[0]


def leaves_like(structure: TreeDef, tree: Any, what: str) -> list[Any]:
    """The leaves of another tree by the places of ``structure``; children of dicts and Modules are matched by name.

    Where the structure has a leaf or a part, the other tree may have None: None for each leaf there. Raises
    ValueError, with the
    place, where the two differ, or where two different leaves stand for one.
    """
    found: list[Any] = [None] * structure.count
    _match(structure.root, tree, found, what, "")
    return found


def _match(node: Any, tree: Any, found: list[Any], what: str, path: str) -> None:
    at = f" at {path}" if path else ""
    if tree is None:  # nothing for all that stands here
        return
    if type(node) is _Leaf:
        if not isinstance(tree, _leaf_types):
            raise ValueError(f"{what} has a {type(tree).__name__}{at}, where a tensor is needed")
        if found[node.place] is not None and tree is not found[node.place]:
            raise ValueError(f"{what} has two different values{at} for one shared tensor; give the same one twice")
        found[node.place] = tree
    elif type(node) is _Node:
        if _container_of(tree) is not node.container:
            raise ValueError(f"{what} has a {type(tree).__name__}{at}, which has not the structure it is matched with")
        children, aux = node.container.flatten(tree)
        names = node.container.names
        keys = names(node.aux) if names else tuple(range(len(node.children)))
        given = dict(zip(names(aux), children, strict=True)) if names else dict(enumerate(children))
        if given.keys() != set(keys):
            odd = sorted([str(k) for k in given.keys() ^ set(keys)])
            raise ValueError(f"{what} does not match{at}: {', '.join(odd)} is in one of the two only")
        for key, child in zip(keys, node.children, strict=True):
            _match(child, given[key], found, what, f"{path}.{key}" if path else str(key))


def map(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """``f`` over the leaves of ``tree`` and the leaves in the same places of other trees, which may be None there.

    Static parts come from the first tree. Parameters of a Module stay Parameters.
    """
    first, _, build = flatten(tree)
    columns = [first, *[leaves_like(build, other, "tree.map: a tree") for other in rest]]
    return build([f(*row) for row in zip(*columns, strict=True)])


def _container_of(x: Any) -> _Container | None:
    for cls in type(x).__mro__:
        found = _containers.get(cls)
        if found is not None:
            return found
    return None


class _Walk:
    """One flattening. Not a closure: a recursive one is a cycle that keeps every leaf until the collector comes."""

    __slots__ = ("leaves", "modules", "path", "seen", "successors", "trained")

    def __init__(self, seen: dict[int, int] | None) -> None:
        self.seen = seen
        self.leaves: list[Any] = []
        self.trained: list[bool] = []
        self.successors: list[Successor | None] = []
        self.path: set[int] = set()
        self.modules: dict[int, _Node] = {}

    def visit(self, x: Any, in_module: bool) -> Any:
        if isinstance(x, _leaf_types):
            return self._leaf(x, in_module)
        container = _container_of(x)
        if container is None:
            return _Static(x)
        if id(x) in self.path:
            raise ValueError(
                f"tree: a {type(x).__name__} contains itself; break the cycle (keep a back reference outside the tree)"
            )
        if id(x) in self.modules:
            return self.modules[id(x)]
        self.path.add(id(x))
        children, aux = container.flatten(x)
        inside = in_module or container.is_module
        node = _Node(container, aux, tuple([self.visit(child, inside) for child in children]))
        self.path.remove(id(x))
        if container.is_module and self.seen is not None:
            self.modules[id(x)] = node
        return node

    def _leaf(self, x: Any, in_module: bool) -> _Leaf:
        place = None if self.seen is None else self.seen.get(id(x))
        if place is None:
            place = len(self.leaves)
            if self.seen is not None:
                self.seen[id(x)] = place
            self.leaves.append(x)
            self.trained.append(x.trained(in_module))
            self.successors.append(x.successor(in_module))
        return _Leaf(place)


def _build(node: Any, made: dict[int, Any], leaves: list[Any]) -> Any:
    if type(node) is _Leaf:
        return leaves[node.place]
    if type(node) is _Static:
        return node.value
    found = made.get(id(node))  # a Module that stands in two places is one again
    if found is None:
        children = [_build(child, made, leaves) for child in node.children]
        found = made[id(node)] = node.container.unflatten(node.aux, children)
    return found


def _signature(node: Any) -> Any:
    if type(node) is _Leaf:
        return node.place
    if type(node) is _Static:
        value = node.value
        if isinstance(value, np.ndarray):
            return ("static", value.dtype, value.shape, value.tobytes())
        return ("static", type(value), value)
    return (node.container.unflatten, node.aux, tuple([_signature(child) for child in node.children]))


def _flatten_tuple(x: tuple[Any, ...]) -> tuple[Iterable[Any], Any]:
    return x, type(x)


def _unflatten_tuple(cls: Any, children: list[Any]) -> Any:
    return cls(*children) if hasattr(cls, "_fields") else tuple(children)


def _flatten_dict(x: dict[Any, Any]) -> tuple[Iterable[Any], Any]:
    return x.values(), (OrderedDict if isinstance(x, OrderedDict) else dict, tuple(x))


def _unflatten_dict(aux: Any, children: list[Any]) -> dict[Any, Any]:
    return aux[0](zip(aux[1], children, strict=True))


def _unflatten_list(_: None, children: list[Any]) -> list[Any]:
    return children


register(tuple, _flatten_tuple, _unflatten_tuple)
register(list, lambda x: (x, None), _unflatten_list)
register(dict, _flatten_dict, _unflatten_dict, names=lambda aux: aux[1])
