"""Errors that depend on values, in the words of the ops: a program knows kernels only."""

from __future__ import annotations

from collections.abc import Sequence

from ..interpreters.stage import Graph
from ..state import within
from ..tensor import Tensor
from .derivative import reads

OF_VALUES = (LookupError, ValueError, ArithmeticError)
"""What kernels raise for values: positions out of range, singular matrices."""


def retold(graph: Graph, xs: Sequence[Tensor], error: Exception) -> Exception:
    """What the ops of a graph raise one by one on values for which its programs raised ``error``; if nothing, that.
    Nothing is written. ``xs`` are the arguments, captured tensors and gradients that it reads.
    """
    pure = graph.reopened(reads(graph), graph.outputs)
    with within(mask=0, stage=None, capture=None, top=None, log=None):
        try:
            pure(*[x.detach() for x in xs])
        except OF_VALUES as plain:
            return plain.with_traceback(None)
    return error
