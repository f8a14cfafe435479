"""Checkpoints: what goes in comes out, nothing damaged goes unnoticed, nothing is half loaded, nothing is half
written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.numpy

import plugrad as pg
from plugrad.errors import CheckpointError
from plugrad_train import checkpoint

DTYPES = [
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "float8_e4m3fn",
    "float8_e5m2",
]


class Arrays:
    """The least that a model or an optimizer can be: state that is loaded after a check."""

    def __init__(self, **arrays) -> None:
        self.state = arrays
        self.loads = 0

    def state_dict(self):
        return self.state

    def load_state_dict(self, state) -> None:
        if isinstance(state, dict) and state.get("refuse"):
            raise ValueError("this state is refused")
        self.state = dict(state)
        self.loads += 1


def snapshot(model):
    return {k: np.array(v.numpy()) for k, v in model.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and a[k].tobytes() == b[k].tobytes() for k in a)


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_and_shape(tmp_path, name):
    dtype = pg.dtypes.as_dtype(name)
    rng = np.random.default_rng(0)
    make = {shape: rng.integers(0, 5, shape).astype(dtype) for shape in ((), (0, 3), (4,), (2, 3, 4))}
    model = Arrays(
        **{f"p{i}": a for i, a in enumerate(make.values())}, turned=rng.integers(0, 5, (3, 4)).astype(dtype).T
    )
    checkpoint.save(tmp_path / "a", model)
    other = Arrays(**{k: np.zeros_like(v) for k, v in model.state.items()})
    assert checkpoint.load(tmp_path / "a", other) == {}
    assert other.state["p0"].shape == () and other.state["turned"].shape == (4, 3)
    for key, value in model.state.items():
        assert other.state[key].dtype == dtype
        np.testing.assert_array_equal(other.state[key].astype(np.complex128), value.astype(np.complex128))


def test_a_module_with_parameters_and_buffers(tmp_path, make):
    model, other = make.Net(seed=1), make.Net(seed=2)
    model(pg.zeros((2, 4)))
    checkpoint.save(tmp_path / "a", model, epoch=7, note="x", rate=np.float32(0.5))
    parameter = other.first.w
    assert not same(snapshot(model), snapshot(other))
    assert checkpoint.load(str(tmp_path / "a"), other) == {"epoch": 7, "note": "x", "rate": 0.5}
    assert same(snapshot(model), snapshot(other))
    assert other.first.w is parameter and parameter.requires_grad
    assert float(other.seen) == 1.0


def test_bfloat16_module(tmp_path):
    class Half(pg.Module):
        def __init__(self, value):
            self.w = pg.Parameter(pg.asarray([value, 3.0], dtype="bfloat16"))

    model, other = Half(1.5), Half(0.0)
    checkpoint.save(tmp_path / "a", model)
    checkpoint.load(tmp_path / "a", other)
    assert other.w.dtype.name == "bfloat16" and other.w.detach().astype("float32").tolist() == [1.5, 3.0]


def test_optimizer_state_of_any_nesting(tmp_path):
    state = {
        "step": 3,
        "rates": (0.1, float("inf"), float("-inf"), None, True, "text"),
        "slots": {0: {"m": np.arange(3.0), "v": [np.float32(2), pg.asarray([1, 2])]}, "1": []},
        "tensor": {"tensor": "not a path"},
        "dict": [],
    }
    checkpoint.save(tmp_path / "a", Arrays(w=np.zeros(2)), Arrays(**state))
    other = Arrays()
    checkpoint.load(tmp_path / "a", Arrays(w=np.ones(2)), other)
    found = other.state
    assert (
        found["step"] == 3
        and found["rates"] == state["rates"]
        and found["tensor"] == state["tensor"]
        and found["dict"] == []
    )
    assert list(found["slots"]) == [0, "1"] and found["slots"]["1"] == []
    assert found["slots"][0]["m"].tolist() == [0, 1, 2] and found["slots"][0]["v"][1].tolist() == [1, 2]
    assert found["slots"][0]["v"][0] == 2 and found["slots"][0]["v"][0].dtype == np.float32


def test_nan_survives(tmp_path):
    checkpoint.save(tmp_path / "a", Arrays(w=np.array([np.nan])), Arrays(x=float("nan")), loss=float("nan"))
    model, optimizer = Arrays(w=np.zeros(1)), Arrays()
    assert np.isnan(checkpoint.load(tmp_path / "a", model, optimizer)["loss"])
    assert np.isnan(model.state["w"][0]) and np.isnan(optimizer.state["x"])


def test_other_programs_read_it_and_are_read(tmp_path, make):
    model = make.Net(seed=1)
    checkpoint.save(tmp_path / "a", model)
    found = safetensors.numpy.load_file(tmp_path / "a")
    assert same(found, snapshot(model))
    safetensors.numpy.save_file(found, tmp_path / "b", {"format": "pt"})
    other = make.Net(seed=2)
    assert checkpoint.load(tmp_path / "b", other) == {}
    assert same(snapshot(other), found)


# -- reading what is damaged, absent or does not fit


def test_absent(tmp_path, make):
    with pytest.raises(CheckpointError, match=r"^load: no checkpoint at .*nothing; check the path"):
        checkpoint.load(tmp_path / "nothing", make.Net())
    with pytest.raises(CheckpointError, match="could not be read"):
        checkpoint.load(tmp_path, make.Net())


def test_every_truncation_is_noticed(tmp_path):
    checkpoint.save(tmp_path / "a", Arrays(w=np.arange(4.0)), Arrays(m=np.arange(2.0)), epoch=1)
    whole = (tmp_path / "a").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "a").write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=f"a .{length} bytes. is cut short or is not safetensors"):
            checkpoint.read(tmp_path / "a")
    (tmp_path / "a").write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError):
        checkpoint.read(tmp_path / "a")


@pytest.mark.parametrize("optimizer", [None, Arrays(m=np.arange(2.0))])
def test_every_changed_byte_is_noticed(tmp_path, optimizer):
    path = tmp_path / "a"
    checkpoint.save(path, Arrays(w=np.arange(4.0)), optimizer, epoch=1)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for change in (1, 0x80):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
            with pytest.raises(CheckpointError) as caught:
                checkpoint.load(path, Arrays(w=np.zeros(4)), optimizer and Arrays())
            assert str(path) in str(caught.value)


def test_a_later_version(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_VERSION", 2)
    checkpoint.save(tmp_path / "a", Arrays(w=np.zeros(1)))
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="format version 2, this plugrad-train reads 1; upgrade it"):
        checkpoint.load(tmp_path / "a", Arrays(w=np.zeros(1)))


def test_what_does_not_fit_is_named_and_changes_nothing(tmp_path, make):
    model, other = make.Net(seed=1), make.Net(seed=2, hidden=9)
    other.extra = pg.Parameter(np.zeros(2, np.float64))
    model.more = pg.Parameter(np.zeros(2, np.float32))
    model.extra = pg.Parameter(np.zeros(2, np.float32))
    model.second.odd = pg.Buffer(np.zeros(1))
    other.lacking = pg.Buffer(np.zeros(1))
    checkpoint.save(tmp_path / "a", model, Arrays(x=1))
    before, optimizer = snapshot(other), Arrays()
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(tmp_path / "a", other, optimizer)
    message = str(caught.value)
    assert message.startswith(f"load: {tmp_path / 'a'} does not fit Net: ")
    for part in (
        "missing 'lacking'",
        "unexpected 'more'",
        "unexpected 'second.odd'",
        "'first.w' is float32 (4, 8) in the file, float32 (4, 9) in the model",
        "'extra' is float32 (2,) in the file, float64 (2,) in the model",
        "Build the model with the configuration it was saved with",
    ):
        assert part in message
    assert same(before, snapshot(other)) and optimizer.loads == 0


def test_a_long_list_is_cut(tmp_path):
    checkpoint.save(tmp_path / "a", Arrays(**{f"p{i}": np.zeros(1) for i in range(50)}))
    with pytest.raises(CheckpointError, match=r"; and 30 more. Build"):
        checkpoint.load(tmp_path / "a", Arrays())


def test_an_optimizer_that_refuses_leaves_the_model(tmp_path):
    model = Arrays(w=np.zeros(2))
    checkpoint.save(tmp_path / "a", Arrays(w=np.ones(2)), Arrays(refuse=True))
    with pytest.raises(CheckpointError, match=r"a does not fit Arrays: this state is refused. Build the optimizer"):
        checkpoint.load(tmp_path / "a", model, Arrays())
    assert model.loads == 0


def test_no_optimizer_state(tmp_path):
    checkpoint.save(tmp_path / "a", Arrays(w=np.ones(2)))
    model = Arrays(w=np.zeros(2))
    with pytest.raises(CheckpointError, match="holds no optimizer state; load it without the optimizer"):
        checkpoint.load(tmp_path / "a", model, Arrays())
    assert model.loads == 0


# -- what cannot be saved


@pytest.mark.parametrize(
    ("model", "optimizer", "meta", "message"),
    [
        (Arrays(w=np.zeros(2, np.complex128)), None, {}, r"cannot hold 'w' \(complex128\); cast it"),
        (Arrays(w=np.zeros(2)), Arrays(f=print), {}, "optimizer/state/f is a builtin_function_or_method"),
        (Arrays(w=np.zeros(2)), Arrays(d={(1, 2): 3}), {}, r"optimizer/state/d has the key \(1, 2\)"),
        (Arrays(w=np.zeros(2)), None, {"x": {1, 2}}, "meta has a set, which JSON cannot hold"),
        (Arrays(**{"optimizer/w": np.zeros(2)}), None, {}, "optimizer/w would be taken for the optimizer's"),
    ],
)
def test_what_cannot_be_saved_leaves_the_old_file(tmp_path, model, optimizer, meta, message):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(CheckpointError, match=message):
        checkpoint.save(tmp_path / "a", model, optimizer, **meta)
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, function):
    checkpoint.save(tmp_path / "a", Arrays(w=np.ones(2)))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, full)
    with pytest.raises(CheckpointError, match=r"could not be written .*No space left on device.*; check the folder"):
        checkpoint.save(tmp_path / "a", Arrays(w=np.zeros(2)))
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["a"]
    assert checkpoint.read(tmp_path / "a").arrays["w"].tolist() == [1, 1]


def test_folders_links_and_rights(tmp_path):
    path = tmp_path / "new" / "folder" / "a"
    checkpoint.save(path, Arrays(w=np.ones(1)))
    (tmp_path / "link").symlink_to(path)
    checkpoint.save(tmp_path / "link", Arrays(w=np.zeros(1)))
    assert (tmp_path / "link").is_symlink() and checkpoint.read(path).arrays["w"].tolist() == [0]
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode


# -- crashes

_CHILD = """
import os, signal, sys
import numpy as np
from pathlib import Path
from plugrad_train import checkpoint, files

class Arrays:
    def __init__(self, i): self.i = i
    def state_dict(self): return {"w": np.full(200_000, self.i, np.float64)}

def die(*_): os.kill(os.getpid(), signal.SIGKILL)

path, stage = sys.argv[1:]
if stage == "half":
    real = Path.open
    class Half:
        def __init__(self, stream): self.stream = stream
        def __enter__(self): return self
        def __exit__(self, *_): pass
        def write(self, data): self.stream.write(data[:len(data) // 2]); self.stream.flush(); die()
    def opened(self, mode="r", *args, **more):
        stream = real(self, mode, *args, **more)
        return Half(stream) if mode == "xb" else stream
    Path.open = opened
elif stage in ("fsync", "replace"):
    setattr(os, stage, die)
i = 0
while stage == "loop" or i == 0:
    i += 1
    checkpoint.save(path, Arrays(i), epoch=i)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("stage", ["half", "fsync", "replace"])
def test_killed_while_writing(tmp_path, stage):
    path = tmp_path / "a"
    checkpoint.save(path, Arrays(w=np.full(5, 7.0)), epoch=77)
    done = subprocess.run([sys.executable, "-c", _CHILD, str(path), stage], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    model = Arrays(w=np.zeros(5))
    assert checkpoint.load(path, model) == {"epoch": 77}
    assert model.state["w"].tolist() == [7.0] * 5
    left = [name for name in os.listdir(tmp_path) if name != "a"]
    assert len(left) == 1 and left[0].startswith(".a.") and left[0].endswith(".tmp")
    checkpoint.save(path, Arrays(w=np.ones(5)))  # what it left is in nobody's way
    assert checkpoint.read(path).arrays["w"].tolist() == [1.0] * 5


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_at_any_moment(tmp_path):
    path = tmp_path / "a"
    for delay in (0.0, 0.004, 0.011, 0.017):
        path.unlink(missing_ok=True)
        child = subprocess.Popen([sys.executable, "-c", _CHILD, str(path), "loop"], stderr=subprocess.PIPE)
        while not path.exists() and child.poll() is None:
            time.sleep(0.001)
        time.sleep(delay)
        child.kill()
        _, error = child.communicate()
        assert child.returncode == -signal.SIGKILL, error
        found = checkpoint.read(path)
        assert (
            found.meta["epoch"] >= 1
            and np.all(found.arrays["w"] == found.meta["epoch"])
            and found.arrays["w"].shape == (200_000,)
        )
