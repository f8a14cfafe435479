"""The file of a capture: written whole or not at all, read back equal, and its errors say file, place and remedy."""

import json

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import PlugradError
from plugrad.testing.capture import CaptureError, Recorder, load, save


@pytest.fixture
def path(tmp_path):
    """A file with a few calls: an operand of every sort, and attributes."""
    x = pg.asarray(np.linspace(-1, 1, 100, dtype=np.float32))
    with Recorder() as recorder:
        y = pg.where(x > 0, x, -float("inf"))
        pg.take(y, pg.asarray([3, 1]))
        pg.pad(pg.asarray(np.arange(100)), [(1, 1)])
        (y.astype("complex64") * 2).sum()
    file = tmp_path / "calls.ops.json"
    save(recorder.captured("calls.py"), file)
    return file


def changed(path, change):
    """The file after a change of its JSON, and the error of reading it."""
    whole = json.loads(path.read_text())
    change(whole)
    path.write_text(json.dumps(whole))
    with pytest.raises(CaptureError) as error:
        load(path)
    assert isinstance(error.value, PlugradError) and str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


def at(whole, op):
    """The first call of an op, and its place."""
    i = [call["op"] for call in whole["calls"]].index(op)
    return whole["calls"][i], f"calls[{i}]"


def test_it_comes_back_as_it_was(path, tmp_path):
    found = load(path)
    assert {call.op for call in found.calls} >= {"where", "gather", "pad", "cast", "mul", "sum", "less"}
    again = tmp_path / "again.json"
    save(found, again)
    assert again.read_bytes() == path.read_bytes() and load(again) == found
    assert (found.script, found.plugrad, found.devices) == ("calls.py", pg.__version__, ("numpy",))
    lines = path.read_text().splitlines()
    assert len([line for line in lines if line.startswith('  {"op"')]) == len(found.calls)


def test_what_was_there_stays_where_nothing_can_be_written(path, tmp_path):
    captured, before, number = load(path), path.read_bytes(), path.stat().st_ino
    with pytest.raises(CaptureError, match="cannot be written.*--out"):
        save(captured, tmp_path / "absent" / "calls.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CaptureError, match="cannot be written"):
        save(captured, tmp_path / "folder")
    save(captured, path)
    assert path.stat().st_ino != number, "it is another file that takes the name at once"
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


def test_files_that_are_none(path, tmp_path):
    with pytest.raises(CaptureError, match="absent.json: cannot be read: No such file"):
        load(tmp_path / "absent.json")
    for text, words in ((b"\xff\xfe", "is no text"), (b'{"format": ', "is not JSON"), (b"[" * 100_000, "is not JSON")):
        path.write_bytes(text)
        with pytest.raises(CaptureError, match=words):
            load(path)
    for text in (b"[]", b"3", b"null"):
        path.write_bytes(text)
        with pytest.raises(CaptureError, match="where an object is needed"):
            load(path)


def test_another_format_or_a_later_version(path):
    def later(whole):
        whole["version"], whole["plugrad"] = 2, "9.0"

    text = changed(path, later)
    known = f"version: format version 2, written by plugrad 9.0, but plugrad {pg.__version__} reads 1; upgrade plugrad"
    assert text.startswith(known)
    text = changed(path, lambda whole: whole.update(format="something"))
    assert text.startswith("format: got 'something', where 'plugrad capture' is needed")


@pytest.mark.parametrize("name", ["format", "version", "plugrad", "script", "devices", "plugins", "left_out", "calls"])
def test_every_part_is_needed(path, name):
    assert changed(path, lambda whole: whole.pop(name)).startswith(f"{name}: ")


def test_an_unknown_op(path):
    def typo(whole):
        at(whole, "gather")[0]["op"] = "gathr"

    text = changed(path, typo)
    assert "].op: the op 'gathr' is not registered here (did you mean 'gather'?); install the package" in text


def test_an_op_of_a_plugin_that_is_not_installed(path):
    def foreign(whole):
        whole["plugins"]["vision"] = "plugrad-vision 2.1"
        at(whole, "gather")[0]["op"] = "vision.flow"

    assert changed(path, foreign).endswith(
        "'vision.flow' is not registered here; install plugrad-vision 2.1, which brought it"
    )


WRONG = [
    ("where", ("operands", 1, "dtype"), "float33", "'float33' is not a dtype that plugrad supports (did you mean"),
    ("where", ("operands", 1, "shape"), [3, -1], "got -1, where at least 0 is needed"),
    ("where", ("operands", 1, "shape"), 7, "got 7, where a list is needed"),
    ("where", ("operands", 0, "true"), 1.5, "got 1.5, where a share from 0 to 1 is needed"),
    ("where", ("operands", 0, "low"), 1, "is not kept of bool"),
    ("where", ("operands", 1, "std"), -1.0, "no negative std"),
    ("where", ("operands", 1, "low"), 5.0, "they must be bounds"),
    ("where", ("operands", 1, "mean"), "much", "got 'much', where numbers of float32 are needed"),
    ("where", ("operands", 1, "mean"), float("nan"), "where a finite number is needed"),
    ("gather", ("operands", 1, "values"), [1, 2, 3], "has 3 elements, the shape 2"),
    ("gather", ("operands", 1, "values"), [1, 2**63], "which int64 does not hold"),
    ("gather", ("operands", 1, "values"), [1, True], "where numbers of int64 are needed"),
    ("gather", ("attrs", "axis"), {"axis": 0}, "no attribute: 'axis' is none of float, complex, dtype, slice"),
    ("gather", ("count",), 0, "got 0, where at least 1 is needed"),
    ("gather", ("count",), True, "where an int is needed"),
    ("gather", ("how",), {"quickly": 1}, "got 'quickly', where one of native, composed, fallback is needed"),
    ("where", ("operands",), [], "where has 0, and no dtype can be told"),
    ("gather", ("forward",), {"op": "exp", "operands": [7], "attrs": {}, "results": {}}, "has 2 operands"),
    ("gather", ("forward",), {"op": "exp", "operands": [0], "attrs": {}, "results": {"0": 0}}, "is an operand of the"),
    (
        "gather",
        ("forward",),
        {"op": "exp", "operands": [0], "attrs": {}, "results": {"x": 0}},
        "where an int is needed",
    ),
]


@pytest.mark.parametrize(("op", "place", "value", "words"), WRONG, ids=[f"{w[0]}-{w[1][-1]}-{w[2]}" for w in WRONG])
def test_a_wrong_value_is_told_with_its_place(path, op, place, value, words):
    where = []

    def change(whole):
        holder, name = at(whole, op)
        where.append(name)
        for step in place[:-1]:
            holder = holder[step]
        holder[place[-1]] = value

    text = changed(path, change)
    assert text.startswith(where[0]) and words in text and text.endswith("record it again with plugrad capture SCRIPT")
