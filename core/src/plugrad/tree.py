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

Children = dict[Any, Any]
"""What a container holds, by name or number."""


class _Container(NamedTuple):
    flatten: Callable[[Any], tuple[Iterable[Any], Any]]
    unflatten: Callable[[Any, list[Any]], Any]
    is_module: bool


class _Static(NamedTuple):
    value: Any


class _Node(NamedTuple):
    """A container. Its children are nodes, static parts, or leaves: numbers, their places in the flat list."""

    container: _Container
    aux: Any
    children: Children


_containers: dict[type, _Container] = {}
_leaf_types: tuple[Any, ...] = ()


def register(cls: type, flatten: Any, unflatten: Any, *, is_module: bool = False) -> None:
    """Make instances of ``cls`` and its subclasses containers: ``flatten(x) -> (children, aux)``, ``unflatten(aux,
    children) -> x``. Children in a dict go by its keys, others are numbered; ``unflatten`` gets a list.
    """
    _containers[cls] = _Container(flatten, unflatten, is_module)


def register_leaf(cls: type) -> None:
    """Make instances of ``cls`` leaves.

    They answer ``trained(in_module)``: is a gradient wanted? And ``successor(in_module)``: None, or what to make of a
    new leaf that takes this one's place, so that a Module built around new values still knows its Parameters.
    """
    global _leaf_types
    _leaf_types = (*_leaf_types, cls)


def _container_of(x: Any) -> _Container | None:
    for cls in type(x).__mro__:
        if cls in _containers:
            return _containers[cls]
    return None


def _opened(x: Any, container: _Container) -> tuple[Children, Any]:
    children, aux = container.flatten(x)
    return children if isinstance(children, dict) else dict(enumerate(children)), aux


def children(x: Any) -> Children:
    """What a container holds, by name or number; nothing for any other value.

    >>> children(["a", "b"]), children("ab")
    ({0: 'a', 1: 'b'}, {})
    """
    container = _container_of(x)
    return _opened(x, container)[0] if container else {}


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
Found = list[tuple[Any, bool]]
"""Leaves, and whether each stands in a Module."""


def flatten(tree: Any, *, unique: bool = True) -> Flat:
    """Leaves, whether each is to be trained, and the structure. Without ``unique``, a leaf that occurs twice is two
    leaves.

    >>> leaves, trained, rebuild = flatten({"a": (1, None)})
    >>> leaves, rebuild([])
    ([], {'a': (1, None)})
    """
    found: Found = []
    try:
        return _flat(found, _visit(tree, False, found, {}, unique))
    except RecursionError:
        raise too_deep(tree) from None


def flatten_each(trees: Sequence[Any], unique: Iterable[bool] = ()) -> Flat:
    """Several trees as one tuple of trees: a leaf that stands in two of them is two leaves, ``unique`` or not."""
    found: Found = []
    try:
        roots = [_visit(tree, False, found, {}, once) for tree, once in zip(trees, unique or itertools.repeat(True))]
    except RecursionError:
        raise too_deep(trees) from None
    return _flat(found, _Node(_containers[tuple], tuple, dict(enumerate(roots))))


def too_deep(tree: Any) -> ShapeError:
    """The error for a tree that ends Python's stack."""
    return ShapeError(f"tree: a {type(tree).__name__} is nested so deeply that it cannot be visited; flatten it first")


def _flat(found: Found, root: Any) -> Flat:
    successors = [x.successor(inside) for x, inside in found]
    return [x for x, _ in found], [x.trained(inside) for x, inside in found], TreeDef(root, successors)


def _visit(x: Any, in_module: bool, found: Found, seen: dict[int, Any], unique: bool) -> Any:
    """The node of ``x``. ``found`` receives the leaves below it; ``seen`` is what became of the leaves and Modules that
    may be met again, and None for a container while it is being visited.
    """
    if id(x) in seen:
        if seen[id(x)] is None:
            raise ShapeError(f"tree: a {type(x).__name__} contains itself; keep references back outside the tree")
        return seen[id(x)]
    node: Any = len(found)
    container = None
    if isinstance(x, _leaf_types):
        found.append((x, in_module))
    elif (container := _container_of(x)) is None:
        return _Static(x)
    else:
        seen[id(x)] = None
        parts, aux = _opened(x, container)
        inside = in_module or container.is_module
        node = _Node(container, aux, {key: _visit(part, inside, found, seen, unique) for key, part in parts.items()})
        del seen[id(x)]
    if unique and (container is None or container.is_module):
        seen[id(x)] = node
    return node


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
    if type(node) is int:
        if not whole and (numbers or not isinstance(tree, _leaf_types)):
            needed = "an integer or None" if numbers else "a tensor"
            raise ShapeError(f"{what} has a {type(tree).__name__}{at}, where {needed} is needed")
        if found[node] is not None and tree is not found[node]:
            raise ShapeError(f"{what} has two different values{at} for one shared tensor; give the same one twice")
        found[node] = tree
        return
    if whole:
        given = dict.fromkeys(node.children, tree)
    elif _container_of(tree) != node.container:
        wrong = f"{what} has a {type(tree).__name__}{at}, which has not the structure it is matched with"
        raise ShapeError(f"{wrong}; give containers like it{', a number' if numbers else ''} or None")
    else:
        given, _ = _opened(tree, node.container)
    if odd := sorted([str(key) for key in node.children.keys() ^ given.keys()]):
        raise ShapeError(f"{what} does not match{at}: {', '.join(odd)} is in one of the two only")
    for key, child in node.children.items():
        _match(child, given[key], found, what, f"{path}.{key}" if path else str(key), numbers)


def paths(structure: TreeDef, name: str) -> list[str]:
    """Where each leaf of a structure stands in the tree called ``name``.

    >>> import plugrad
    >>> paths(flatten({"a": (1, plugrad.ones(2))})[2], "x")
    ["x['a'][1]"]
    """
    found = [name] * len(structure.successors)

    def walk(node: Any, path: str) -> None:
        if type(node) is int:
            found[node] = path
        elif type(node) is _Node:
            for key, child in node.children.items():
                walk(child, f"{path}.{key}" if node.container.is_module else f"{path}[{key!r}]")

    walk(structure.root, name)
    return found


def map(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """``f`` over the leaves of ``tree`` and the leaves in the same places of other trees, which may be None there.

    Static parts come from the first tree. Parameters of a Module stay Parameters.
    """
    first, _, build = flatten(tree)
    columns = [first, *[leaves_like(build, other, "tree.map: a tree") for other in rest]]
    return build([f(*row) for row in zip(*columns, strict=True)])


def _build(node: Any, made: dict[int, Any], leaves: list[Any]) -> Any:
    if type(node) is int:
        return leaves[node]
    if type(node) is _Static:
        return node.value
    found = made.get(id(node))  # a Module that stands in two places is one again
    if found is None:
        parts = [_build(child, made, leaves) for child in node.children.values()]
        found = made[id(node)] = node.container.unflatten(node.aux, parts)
    return found


def _signature(node: Any) -> Any:
    if type(node) is int:
        return node
    if type(node) is _Node:
        return node.container, node.aux, tuple([(key, _signature(child)) for key, child in node.children.items()])
    value = node.value
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, set):
        return type(value), frozenset(value)  # it may change
    if isinstance(value, (float, complex)):
        return type(value), value, repr(value)  # 0.0 is not -0.0
    return type(value), value


def _flatten_sequence(x: Any) -> tuple[Iterable[Any], Any]:
    return x, type(x)


def _unflatten_sequence(cls: Any, parts: list[Any]) -> Any:
    plain = parts if issubclass(cls, list) else tuple(parts)
    return cls(*parts) if hasattr(cls, "_fields") else plain


def _flatten_dict(x: Children) -> tuple[Children, Any]:
    return x, (OrderedDict if isinstance(x, OrderedDict) else dict, tuple(x))


def _unflatten_dict(aux: Any, parts: list[Any]) -> Children:
    return aux[0](zip(aux[1], parts, strict=True))


for _cls in (tuple, list):
    register(_cls, _flatten_sequence, _unflatten_sequence)
register(dict, _flatten_dict, _unflatten_dict)
