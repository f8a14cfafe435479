"""``plugrad new``: writes a distribution that plugs in, passes its tests as it is, and is replaced part by part.

Part of the kit for authors: nothing imports it but the command line, by name, when it is asked for.
"""

from .kinds import KINDS, Kind
from .names import ScaffoldError
from .project import Project, plan

__all__ = ["KINDS", "Kind", "Project", "ScaffoldError", "plan"]
