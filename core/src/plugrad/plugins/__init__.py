"""Plugins: the marker for their hooks, and the roads from a name to what a plugin brings.

Nothing is discovered before something is asked for.
"""

from __future__ import annotations

from ..backend import API
from .hookspecs import hookimpl
from .loader import PluginStatus, statuses
from .probe import Outcome
from .registrar import Registrar
from .roads import available_backends, backend_index, component, components, create, default_backend, load_ops, lookup

__all__ = ["API", "Outcome", "PluginStatus", "Registrar", "hookimpl", "statuses"]
__all__ += ["available_backends", "backend_index", "default_backend"]
__all__ += ["component", "components", "create", "load_ops", "lookup"]
