"""How a backend runs each op in each dtype, as data, as a summary, as a table."""

from __future__ import annotations

from ..dtypes import SHORT
from ..fallback import columns
from .contract.capabilities import STATES, capabilities

Coverage = dict[str, dict[str, str]]
"""By op and dtype (short name): native, composed, fallback or unsupported."""
WORDS = {"native": "native", "composed": "composed", "fallback": "host", "unsupported": "-"}


def coverage(device: str) -> Coverage:
    """The table of a device.

    >>> coverage("numpy")["add"]["f4"]
    'native'
    """
    found: Coverage = {}
    for cell in capabilities(device):
        found.setdefault(cell.op, {})[cell.dtype] = cell.state
    return found


def summary(found: Coverage) -> str:
    """How many ops there are of each state by dtype, and which run through the host."""
    dtypes = [word for word in SHORT if any(cells[word] != "unsupported" for cells in found.values())]
    rows = [("ops", *dtypes)]
    for state in STATES[:3]:
        counts = [sum(cells[word] == state for cells in found.values()) for word in dtypes]
        rows.append((f"{state} (through the host)" if state == "fallback" else state, *map(str, counts)))
    missing: dict[str, list[str]] = {}
    for op, cells in found.items():
        words = " ".join(word for word in dtypes if cells[word] == "fallback")
        missing.setdefault(words, []).append(op)
    listed = [f"  {words}: {', '.join(ops)}" for words, ops in missing.items() if words]
    text = columns(rows, "<" + ">" * len(dtypes))
    return "\n".join([text, *(["no kernel, so through the host, slowly:"] if listed else []), *listed])


def table(found: Coverage) -> list[tuple[str, ...]]:
    """A row an op: its name and, state by state, its dtypes ("" where there are none)."""
    rows: list[tuple[str, ...]] = [("op", "native", "composed", "through the host")]
    for op, cells in found.items():
        by_state = [" ".join(word for word in SHORT if cells[word] == state) for state in STATES[:3]]
        rows.append((op, *by_state))
    return rows
