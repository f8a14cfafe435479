"""The text of a drawing for Graphviz: nodes, frames, edges."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

ROUND, DASHED, DOUBLE = "shape=ellipse", "shape=ellipse, style=dashed", "shape=ellipse, peripheries=2"


class Drawing:
    """The lines of a drawing, which numbers its nodes and frames."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = self.frames = 0
        self.indent = "  "

    def node(self, title: str, what: Any, style: str = "") -> str:
        """A node for something with shape and dtype, or several; returns its id."""
        several = what if isinstance(what, (list, tuple)) and not hasattr(what, "shape") else [what]
        rows = [title, *[f"{one.dtype} {one.shape}" for one in several]]
        name, self.count = f"n{self.count}", self.count + 1
        label = "\\n".join(map(_quoted, rows))
        self.lines.append(f'{self.indent}{name} [label="{label}"{", " + style if style else ""}];')
        return name

    @contextlib.contextmanager
    def frame(self, title: str) -> Iterator[None]:
        """A frame around the nodes of the block. What an edge in it names is in it too."""
        before, self.frames = self.indent, self.frames + 1
        self.lines.append(f"{before}subgraph cluster{self.frames} {{")
        self.indent += "  "
        self.lines.append(f'{self.indent}label="{_quoted(title)}";')
        yield
        self.indent = before
        self.lines.append(before + "}")

    def edge(self, tail: str, head: str, output: int | None = None) -> None:
        """An arrow, with the number of the output where there are several."""
        self.lines.append(f"{self.indent}{tail} -> {head}" + (";" if output is None else f' [label="{output}"];'))


def _quoted(words: str) -> str:
    return words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
