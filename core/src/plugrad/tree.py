"""pytrees: any nesting of tuples, named tuples, lists, dicts and registered classes, seen as a flat list of leaves.

A leaf (a tensor) is visited once within one tree: tied weights are one leaf, so they get one gradient, the sum of both
uses. Everything that is neither a leaf nor a registered container is static and travels with the structure.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .errors import ShapeError

Flatten = Callable[[Any], tuple[Iterable[Any], Any]]
Build = Callable[[Any, list[Any]], Any]
Names = Callable[[Any], Iterable[Any]]


class _Container(NamedTuple):
    flatten: Flatten
    unflatten: Build
    is_module: bool
    names: Names


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


def _count(aux: Any) -> Iterable[Any]:
    return itertools.count()


def register(cls: type, flatten: Flatten, unflatten: Build, *, is_module: bool = False, names: Names = _count) -> None:
    """Make instances of ``cls`` and its subclasses containers: ``flatten(x) -> (children, aux)``, ``unflatten(aux,
    children) -> x``. ``names(aux)`` gives the names of the children; without it they are numbered.
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

    __slots__ = ("root", "successors")

    def __init__(self, root: Any, successors: list[Callable[[Any], Any] | None]) -> None:
        self.root, self.successors = root, successors

    def __call__(self, leaves: Iterable[Any]) -> Any:
        leaves, wanted = list(leaves), len(self.successors)
        if len(leaves) != wanted:
            raise ValueError(f"tree: the structure has {wanted} leaves, {len(leaves)} were given")
        return _build(self.root, {}, [x if s is None else s(x) for x, s in zip(leaves, self.successors, strict=True)])

    def signature(self) -> Any:
        """A value equal for equal structures, static parts included; hashable when they are."""
        return _signature(self.root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TreeDef) and self.signature() == other.signature()


Flat = tuple[list[Any], list[bool], TreeDef]


def flatten(tree: Any, *, unique: bool = True) -> Flat:
    """Leaves, whether each is to be trained, and the structure. Without ``unique``, a leaf that occurs twice is two
    leaves.

    >>> leaves, trained, rebuild = flatten({"a": (1, None)})
    >>> leaves, rebuild([])
    ([], {'a': (1, None)})
    """
    found: list[tuple[Any, bool]] = []
    return _flat(found, _Walk(found, unique).visit(tree, False))


def flatten_each(trees: Sequence[Any], unique: Iterable[bool] = ()) -> Flat:
    """Several trees as one tuple of trees: a leaf that stands in two of them is two leaves, ``unique`` or not."""
    found: list[tuple[Any, bool]] = []
    roots = [_Walk(found, once).visit(tree, False) for tree, once in zip(trees, unique or itertools.repeat(True))]
    return _flat(found, _Node(_containers[tuple], tuple, tuple(roots)))


def _flat(found: list[tuple[Any, bool]], root: Any) -> Flat:
    successors = [x.successor(inside) for x, inside in found]
    return [x for x, _ in found], [x.trained(inside) for x, inside in found], TreeDef(root, successors)


def leaves(tree: Any) -> list[Any]:
    """The leaves of a tree, each once."""
    return flatten(tree)[0]


def leaves_like(structure: TreeDef, tree: Any, what: str, numbers: bool = False) -> list[Any]:
    """The leaves of another tree by the places of ``structure``; children of dicts and Modules are matched by name.

    Where the structure has a leaf or a part, the other tree may have None: None for each leaf there. With ``numbers``
    its leaves are integers, and one may stand for a whole part. Raises ShapeError, with the place, where the two
    differ, or where two different leaves stand for one.
    """
    found: list[Any] = [None] * len(structure.successors)
    _match(structure.root, tree, found, what, "", numbers)
    return found


def _match(node: Any, tree: Any, found: list[Any], what: str, path: str, numbers: bool) -> None:
    if tree is None or type(node) is _Static:
        return
    at = f" at {path}" if path else ""
    whole = numbers and isinstance(tree, int)
    if type(node) is _Leaf:
        if not whole and (numbers or not isinstance(tree, _leaf_types)):
            needed = "an integer or None" if numbers else "a tensor"
            raise ShapeError(f"{what} has a {type(tree).__name__}{at}, where {needed} is needed")
        if found[node.place] is not None and tree is not found[node.place]:
            raise ShapeError(f"{what} has two different values{at} for one shared tensor; give the same one twice")
        found[node.place] = tree
        return
    names = node.container.names
    wanted = dict(zip(names(node.aux), node.children))
    if whole:
        given = dict.fromkeys(wanted, tree)
    elif _container_of(tree) != node.container:
        wrong = f"{what} has a {type(tree).__name__}{at}, which has not the structure it is matched with"
        raise ShapeError(f"{wrong}; give containers like it{', a number' if numbers else ''} or None")
    else:
        children, aux = node.container.flatten(tree)
        given = dict(zip(names(aux), children))
    if odd := sorted([str(key) for key in wanted.keys() ^ given.keys()]):
        raise ShapeError(f"{what} does not match{at}: {', '.join(odd)} is in one of the two only")
    for key, child in wanted.items():
        _match(child, given[key], found, what, f"{path}.{key}" if path else str(key), numbers)


def map(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """``f`` over the leaves of ``tree`` and the leaves in the same places of other trees, which may be None there.

    Static parts come from the first tree. Parameters of a Module stay Parameters.
    """
    first, _, build = flatten(tree)
    columns = [first, *[leaves_like(build, other, "tree.map: a tree") for other in rest]]
    return build([f(*row) for row in zip(*columns, strict=True)])


def _container_of(x: Any) -> _Container | None:
    for cls in type(x).__mro__:
        if cls in _containers:
            return _containers[cls]
    return None


class _Walk:
    """One flattening. Not a closure: a recursive one is a cycle that keeps every leaf until the collector comes.

    ``found`` receives the leaves, and whether they stand in a Module; ``seen`` is what became of the leaves and Modules
    that may be met again, and None for a container while it is being visited.
    """

    __slots__ = ("found", "seen", "unique")

    def __init__(self, found: list[tuple[Any, bool]], unique: bool) -> None:
        self.found, self.unique = found, unique
        self.seen: dict[int, Any] = {}

    def visit(self, x: Any, in_module: bool) -> Any:
        if id(x) in self.seen:
            if self.seen[id(x)] is None:
                raise ValueError(f"tree: a {type(x).__name__} contains itself; keep references back outside the tree")
            return self.seen[id(x)]
        node: Any
        if isinstance(x, _leaf_types):
            node, shared = _Leaf(len(self.found)), self.unique
            self.found.append((x, in_module))
        else:
            container = _container_of(x)
            if container is None:
                return _Static(x)
            self.seen[id(x)] = None
            children, aux = container.flatten(x)
            inside = in_module or container.is_module
            node = _Node(container, aux, tuple([self.visit(child, inside) for child in children]))
            del self.seen[id(x)]
            shared = self.unique and container.is_module
        if shared:
            self.seen[id(x)] = node
        return node


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
    if type(node) is _Node:
        return node.container.unflatten, node.aux, tuple([_signature(child) for child in node.children])
    value = node.value
    if isinstance(value, np.ndarray):
        return "static", value.dtype, value.shape, value.tobytes()
    return "static", type(value), value


def _flatten_sequence(x: Any) -> tuple[Iterable[Any], Any]:
    return x, type(x)


def _unflatten_sequence(cls: Any, children: list[Any]) -> Any:
    plain = children if issubclass(cls, list) else tuple(children)
    return cls(*children) if hasattr(cls, "_fields") else plain


def _flatten_dict(x: dict[Any, Any]) -> tuple[Iterable[Any], Any]:
    return x.values(), (OrderedDict if isinstance(x, OrderedDict) else dict, tuple(x))


def _unflatten_dict(aux: Any, children: list[Any]) -> dict[Any, Any]:
    return aux[0](zip(aux[1], children, strict=True))


register(tuple, _flatten_sequence, _unflatten_sequence)
register(list, _flatten_sequence, _unflatten_sequence)
register(dict, _flatten_dict, _unflatten_dict, names=lambda aux: aux[1])
