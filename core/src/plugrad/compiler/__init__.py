"""Static graphs: ``compile`` stages a function, rewrites its graph, plans its memory, and runs it as programs.

``lower`` makes programs of a graph, ``passes`` rewrites them, ``plan`` places their values, ``executable`` runs them,
``guards`` says whether they still fit, ``function`` is what the user holds.
"""

from __future__ import annotations

from .function import Function, compile

__all__ = ["Function", "compile"]
