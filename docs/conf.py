"""Configuration of the documentation. Pages are Markdown; the reference is made from the docstrings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

project = "plugrad"
author = "the plugrad authors"
copyright = author
release = version = "0.1.0"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "index"
exclude_patterns = ["_build"]

myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"plugrad {release}"

PAGE_OF = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "core/README.md": "api/plugrad.md"}
PLUGIN_PAGES = ("nn", "norm", "optim", "data", "train")
PAGE_OF |= {f"plugins/{name}/README.md": f"api/{name}.md" for name in PLUGIN_PAGES}
PAGE_OF |= {f"plugins_{name}/README.md": "api/backend.md" for name in ("cpu", "cuda")}


def page_link(match: re.Match[str]) -> str:
    """A link of a file at the root, as seen from docs/; the text alone where no page corresponds."""
    text, target = match[1], match[2]
    if target.startswith(("http", "#")):
        return match[0]
    page = PAGE_OF.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
    return f"{text}({page})" if page else text.strip("[]")


def include_root_files(app: Any, _docname: str, source: list[str]) -> None:
    """Put README.md and its like where a page says ``{README.md}``, with the links turned to pages."""
    match = re.match(r"\{([A-Z]+\.md)\}", source[0])
    if match:
        path = ROOT / match[1]
        app.env.note_dependency(str(path))
        text = re.sub(r"(!?\[[^\]]*\])\(([^)]+)\)", page_link, path.read_text(encoding="utf-8"))
        source[0] = text + source[0][match.end() :]


def keep_lines(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Turn indented blocks of a docstring, which list names and meanings, into blocks that keep their lines."""
    kept: list[str] = []
    paragraph = 0  # lines of the paragraph that may be followed by an indented block
    plain = False  # that paragraph announces a block with a meaning of its own
    run = ""  # what the indented block is: one to keep, or one that reads well as it is
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not line:
            paragraph = 0
        elif line.startswith(" "):
            if not run:
                run = "own" if plain or paragraph == 1 else "kept"
                kept += [""] if run == "kept" else []
            paragraph = 0
        else:
            own = line.endswith("::") or line.startswith(("..", "* ", "- ", ">>>", ":")) or line[0].isdigit()
            plain = own or (plain and paragraph > 0)
            ends = run == "kept" or (run == "own" and not following.startswith(" "))
            kept += [""] if ends and kept[-1] else []
            paragraph, run = paragraph + 1, ""
        kept.append(f"| {line.rstrip()}" if line and run == "kept" else line)
    lines[:] = kept


def leave_out_guests(app: Any, _what: str, _name: str, member: Any, _skip: bool, _options: Any) -> bool | None:
    """On the page of a plugin, leave out what it only passes on from the core, which has its own place."""
    page = app.env.docname.removeprefix("api/")
    core = str(getattr(member, "__module__", "")).startswith("plugrad.")
    return True if core and page in PLUGIN_PAGES else None


def setup(app: Any) -> None:
    app.connect("source-read", include_root_files)
    app.connect("autodoc-process-docstring", keep_lines)
    app.connect("autodoc-skip-member", leave_out_guests)
