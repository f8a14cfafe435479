"""``plugrad lint`` on sources that are odd: it never falls over, and says nothing about what is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugrad.testing.lint import Finding, LintError, lint

PROJECT = """[project]
name = "plugrad-mine"
dependencies = ["plugrad>=0.1,<1"]

[project.entry-points.plugrad]
mine = "plugrad_mine.plugin"
"""
HOOKS = """import sys
from plugrad.plugins import hookimpl

API = (1, 0)


@hookimpl
def plugrad_components(registrar):
    {0}
"""
SAMPLES = """

@hookimpl
def plugrad_samples(registrar):
    registrar.samples("plugrad_mine.samples:samples")
"""
SAMPLED = """from plugrad.testing import LayerSample, values

def samples():
    return [LayerSample("twice", {}, (values(3),))]
"""
LAYERS = "class Twice:\n    pass\n"
REGISTER = 'registrar.component("layer", "twice", target="plugrad_mine.layers:Twice")'

WRONG = 'registrar.component("layer", "thrice", target="plugrad_mine.layers:Thrice")'


def project(
    folder: Path, hooks: str, *, root: str = "src/plugrad_mine", init: bool = True, config: str = PROJECT, **more: str
) -> list[Finding]:
    """The findings about a distribution with this hooks module, and further modules."""
    package = folder / root
    package.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(config)
    texts = {"plugin": hooks, "layers": LAYERS, "samples": SAMPLED, **({"__init__": ""} if init else {}), **more}
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    return lint(str(folder))


def test_the_plain_one_has_no_findings_and_its_mistakes_are_seen(tmp_path: Path) -> None:
    assert project(tmp_path / "a", HOOKS.format(REGISTER) + SAMPLES) == []
    wrong = HOOKS.format(REGISTER.replace("twice", "thrice")) + SAMPLES
    assert [f.code for f in project(tmp_path / "b", wrong)] == ["PG702", "PG703"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("x = 1\nreturn x\n", 2, "'return' outside function"),
        ("class A:\n    x = 1\n    return x\n", 3, "'return' outside function"),
        ("\nbreak\n", 2, "'break' outside loop"),
        ("# -*- coding: nonsense -*-\n", 1, "unknown encoding: nonsense"),
    ],
)
def test_what_does_not_compile_is_no_python(text: str, line: int, said: str, tmp_path: Path) -> None:
    (found,) = project(tmp_path, HOOKS.format(REGISTER) + SAMPLES, odd=text)
    assert (found.code, found.line) == ("PG001", line)
    assert said in found.message and found.message.startswith("this is not Python: ")


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "+".join("1" * 20_000),
        "x = a" + ".b" * 3_000,
        "x = 0\n" + "if x == 1:\n    y = 1\n" + "".join(f"elif x == {i}:\n    y = {i}\n" for i in range(900)),
        "x = 0\n" + "if x == 1:\n    y = 1\n" + "".join(f"elif x == {i}:\n    y = {i}\n" for i in range(150)),
        "from .layers import A\nclass B(A):\n    pass\n",
        "class A(A):\n    pass\n",
        'x = "\\d"\n',
        "\ufeffx = 1\n",
        "from plugrad.backend import Backend\nclass Backend(Backend):\n    pass\n",
    ],
    ids=["sum", "attributes", "compiled-deep", "deep", "mutual", "itself", "escape", "bom", "rebound"],
)
def test_what_cannot_be_followed_is_passed_over(text: str, tmp_path: Path) -> None:
    layers = f"{LAYERS}from .odd import B\nclass A(B):\n    name = 'a'\n"
    assert project(tmp_path, HOOKS.format(REGISTER) + SAMPLES, odd=text, layers=layers) == []


@pytest.mark.parametrize("base", ["Backend", "Op"])
def test_bases_in_a_circle(base: str, tmp_path: Path) -> None:
    """They cannot be imported, but are read."""
    imports = "from plugrad import Op\nfrom plugrad.backend import Backend\nfrom .b import B\n"
    a = f"{imports}class A(B, {base}):\n    pass\n"
    found = project(tmp_path, HOOKS.format(REGISTER) + SAMPLES, a=a, b="from .a import A\nclass B(A):\n    pass\n")
    assert {Path(f.path).name for f in found} <= {"a.py", "b.py"}


def test_links_in_a_circle_and_to_nowhere(tmp_path: Path) -> None:
    package = tmp_path / "src" / "plugrad_mine"
    package.mkdir(parents=True)
    for name in ("one", "two"):
        (package / name).symlink_to(".")
    (package / "lost.py").symlink_to("nowhere.py")
    (package / "data").mkdir()
    (package / "data" / "up").symlink_to("..")
    for name, text in {"__init__": "", "plugin": HOOKS.format(REGISTER) + SAMPLES, "samples": SAMPLED}.items():
        (package / f"{name}.py").write_text(text)
    (package / "layers.py").write_text(LAYERS)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (found,) = lint(str(tmp_path))
    assert Path(found.path).name == "lost.py" and found.code == "PG001"
    assert found.message.startswith("this cannot be read: No such file")


@pytest.mark.parametrize(
    ("root", "name", "init"),
    [
        ("src/plugrad_mine", "plugrad_mine", False),
        ("src/acme/mine", "acme.mine", True),
        ("lib/plugrad_mine", "plugrad_mine", True),
        ("plugrad_mine", "plugrad_mine", False),
    ],
)
def test_where_packages_may_lie(root: str, name: str, init: bool, tmp_path: Path) -> None:
    """Without ``__init__.py``, inside a namespace, in another folder than src: mistakes in them are seen."""
    for folder, call in (("right", REGISTER), ("wrong", REGISTER.replace(":Twice", ":Tvice"))):
        hooks = (HOOKS.format(call) + SAMPLES).replace("plugrad_mine", name)
        found = project(tmp_path / folder, hooks, root=root, init=init, config=PROJECT.replace("plugrad_mine", name))
        assert [f.code for f in found] == ([] if folder == "right" else ["PG205"])


def test_a_folder_beside_the_package_that_no_entry_point_names_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "draw.py").write_text("from plugrad.testing import values\n")
    assert project(tmp_path, HOOKS.format(REGISTER) + SAMPLES, root="plugrad_mine") == []


def test_a_folder_of_distributions_is_none(tmp_path: Path) -> None:
    (tmp_path / "build_all.py").write_text("")
    for name in ("one", "two", "docs"):
        project(tmp_path / name, HOOKS.format(REGISTER))
    with pytest.raises(LintError, match="holds the distributions one, two; name one of them"):
        lint(str(tmp_path))
    with pytest.raises(LintError, match="'' is neither a path nor"):
        lint("")


def test_hooks_from_a_star_import(tmp_path: Path) -> None:
    assert project(tmp_path, "from ._hooks import *\n", _hooks=HOOKS.format(REGISTER) + SAMPLES) == []


@pytest.mark.parametrize(
    "body",
    [
        'add = lambda name, cls: registrar.component("layer", name, target=f"plugrad_mine.layers:{cls}")\n'
        '    add("twice", "Twice")',
        f'match sys.platform:\n        case "linux":\n            {REGISTER}\n        case _:\n            {REGISTER}',
        "sys.modules[__name__].helper(registrar)",
        "sys.modules[__name__].helper(add=registrar.component)",
        f'kind = "layer"\n    if kind == "layer":\n        {REGISTER}\n    else:\n        {WRONG}',
        f'kind = "layer"\n    if kind != "layer":\n        {WRONG}\n    else:\n        {REGISTER}',
        f"def first():\n        if sys.argv:\n            return\n        {REGISTER}\n    first()\n    {REGISTER}",
        'for name in [n for n in ("twice", "thrice") if n != "thrice"]:\n'
        '        registrar.component("layer", name, target="plugrad_mine.layers:Twice")',
        "import functools\n    functools.partial(registrar.component)('layer', 'twice', 'plugrad_mine.layers:A')",
    ],
    ids=["lambda", "match", "helper", "method", "equal", "unequal", "returning", "filtered", "partial"],
)
def test_registrations_by_ways_of_their_own(body: str, tmp_path: Path) -> None:
    assert project(tmp_path, HOOKS.format(body) + SAMPLES) == []


@pytest.mark.parametrize(
    "body",
    [
        'add = lambda t: registrar.component("layer", "twice", target=t)\n    add("{0}")',
        'match sys.platform:\n        case "linux":\n            registrar.component("layer", "twice", target="{0}")',
    ],
)
def test_lambdas_and_matches_are_followed(body: str, tmp_path: Path) -> None:
    (found,) = project(tmp_path, HOOKS.format(body.format("plugrad_mine.layers:Tvice")) + SAMPLES)
    assert found.code == "PG205"


def test_samples_may_be_registered_by_a_helper(tmp_path: Path) -> None:
    body = f"{REGISTER}\n    sys.modules[__name__].helper(registrar)"
    assert project(tmp_path / "a", HOOKS.format(body)) == []
    assert [f.code for f in project(tmp_path / "b", HOOKS.format(REGISTER))] == ["PG701"]


def test_what_a_match_binds_is_unknown(tmp_path: Path) -> None:
    body = f"""name = "twice"
    match sys.platform:
        case "linux":
            name = "thrice"
    {REGISTER.replace('"twice"', "name")}"""
    assert project(tmp_path, HOOKS.format(body) + SAMPLES) == []
