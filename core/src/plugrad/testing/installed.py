"""Whether a plugin is installed and in order."""

from __future__ import annotations

from ..errors import PluginError, suggest
from ..plugins import PluginStatus, statuses


def require(name: str) -> PluginStatus:
    """The record of the plugin with this entry point name; PluginError, from the cause, if nothing of it is there.

    Of several copies of a distribution it is the one that is used.

    >>> require("core").status
    'ok'
    """
    known = {status.provider.entry_point: status for status in sorted(statuses(), key=lambda s: s.status == "ok")}
    if name not in known:
        listed = ", ".join(sorted(known))
        raise PluginError(f"plugin {name!r} is not installed{suggest(name, known)}; installed: {listed}")
    if known[name].status != "ok" and not known[name].provides:
        raise PluginError(str(known[name])) from known[name].error
    return known[name]
