"""``plugrad capture`` runs a script as Python does, writes what it called whatever becomes of it, and that replays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from plugrad.testing.capture import Captured, load, replay_checks

TRAINING = """
    import numpy as np
    import plugrad as pg
    import plugrad_data as data
    import plugrad_nn as nn
    import plugrad_norm as norm
    import plugrad_optim as optim

    try:
        images, labels = (a[:64] for a in data.digits().arrays)
    except data.MissingExtraError:
        rng = np.random.default_rng(0)
        images, labels = rng.random((64, 1, 8, 8), np.float32), rng.integers(0, 10, 64)
    pg.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), norm.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), norm.Dropout(0.25), nn.Linear(12, 10),
    )
    optimizer = optim.Adam(net.parameters(), learning_rate=1e-2)
    for x, y in data.DataLoader(data.ArrayDataset(images, labels), 32, shuffle=True, seed=0):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item())
"""
OPS = {"nn.conv2d", "nn.conv2d_input_bwd", "nn.conv2d_weight_bwd", "nn.max_pool2d", "nn.max_pool2d_bwd"}
OPS |= {"nn.avg_pool2d", "nn.softmax_cross_entropy", "nn.softmax_cross_entropy_bwd", "nn.linear", "nn.relu"}
OPS |= {"norm.batch_norm", "norm.batch_norm_bwd", "norm.dropout", "optim.adam_step", "matmul", "random_bits"}


def python(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, without settings from outside."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PLUGRAD_")}
    options = {"capture_output": True, "text": True, "timeout": 120, "check": False}
    return subprocess.run([sys.executable, *args], cwd=folder, env={**clean, **env}, **options)


def capture(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "plugrad", "capture", *args, **env)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text), encoding="utf-8")
    return path


def counts(path: Path) -> dict[str, int]:
    """The calls of each op in a file."""
    found: dict[str, int] = {}
    for call in load(path).calls:
        found[call.op] = found.get(call.op, 0) + call.count
    return found


@pytest.fixture(scope="module", params=["numpy", "cpu"])
def training(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Captured:
    """The calls of a small training run on a device, which goes as it goes without being observed."""
    folder = tmp_path_factory.mktemp("training")
    written(folder, "train.py", TRAINING)
    done = capture(folder, "--device", request.param, "train.py")
    assert done.returncode == 0, done.stderr
    alone = python(folder, "train.py", PLUGRAD_DEVICE=request.param)
    assert done.stdout == alone.stdout and len(done.stdout.splitlines()) == 2
    assert "left out: stop_gradient" in done.stderr and "nn.conv2d " in done.stderr
    return load(folder / "train.ops.json")


@pytest.mark.parametrize("device", ["numpy", "cpu"])
@pytest.mark.filterwarnings("error")
def test_a_training_replays(training: Captured, device: str) -> None:
    assert {call.op for call in training.calls} >= OPS
    assert dict(training.plugins).keys() == {"nn", "norm", "optim"}
    checks = replay_checks(training, device)
    assert len(checks) > 150
    for check in checks:
        check()


def test_the_summary(tmp_path: Path) -> None:
    written(
        tmp_path, "few.py", "import plugrad as pg\nx = pg.ones(3)\nfor _ in range(4): x = pg.exp(x)\npg.sin(x[:2])\n"
    )
    done = capture(tmp_path, "few.py", "--device", "numpy", PLUGRAD_DEVICE="numpy")
    assert done.stderr.splitlines() == [
        "plugrad capture: 7 calls of ops, 4 distinct, of few.py",
        "op     calls  distinct  how   ",
        "exp        4         1  native",
        "full       1         1  native",
        "sin        1         1  native",
        "slice      1         1  native",
        f"written to {tmp_path / 'few.ops.json'}",
    ]
    assert done.stdout == ""


HOW_IT_RUNS = """
    from __future__ import annotations
    import os, sys
    import helper.inner, sibling
    names = [n for n in sorted(globals()) if n.startswith("__")]
    print(__name__, __file__, sys.argv, sys.path[0], __spec__, __package__, __doc__, names)
    print(sys.modules["__main__"].__dict__ is globals(), type(__loader__).__name__, sibling.VALUE, helper.inner.VALUE)
    print(__builtins__)
    if __name__ == "__main__":
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--out")
        parser.add_argument("--device")
        parser.add_argument("rest", nargs="*")
        print(parser.parse_args())
        import pickle
        class Local: pass
        print(type(pickle.loads(pickle.dumps(Local()))) is Local)
        sys.exit(int(os.environ["CODE"]))
"""


def test_a_script_runs_as_python_runs_it(tmp_path: Path) -> None:
    written(tmp_path, "scripts/main.py", HOW_IT_RUNS)
    written(tmp_path, "scripts/sibling.py", "VALUE = 5")
    written(tmp_path, "scripts/helper/__init__.py", "from . import inner")
    written(tmp_path, "scripts/helper/inner.py", "from .deep import VALUE")
    written(tmp_path, "scripts/helper/deep.py", "VALUE = __name__")
    (tmp_path / "link.py").symlink_to(tmp_path / "scripts" / "main.py")
    for script in ("scripts/main.py", "link.py", str(tmp_path / "scripts" / "main.py")):
        words = [script, "--out", "mine", "--device", "theirs", "a", "-", "--", "-b"]
        alone, done = python(tmp_path, *words, CODE="3"), capture(tmp_path, *words, CODE="3")
        assert alone.returncode == done.returncode == 3, done.stderr
        assert done.stdout == alone.stdout and "Namespace(out='mine', device='theirs'" in done.stdout
        assert (tmp_path / f"{Path(script).stem}.ops.json").exists()


ENDINGS = {
    "raises": ("raise RuntimeError('by hand')", 1),
    "exits": ("import sys; sys.exit(3)", 3),
    "exits-with-words": ("raise SystemExit('that is wrong')", 1),
    "exits-with-none": ("raise SystemExit", 0),
    "hook": ("import sys; sys.excepthook = lambda *e: print('hook', e[1], file=sys.stderr); 1 / 0", 1),
    "chained": ("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e", 1),
    "interrupted": ("raise KeyboardInterrupt", -2),
    "closes-stdout": ("import sys; sys.stdout.close()", 0),
    "stdout-is-none": ("import sys; sys.stdout = None", 0),
    "stdout-is-its-own": (
        "import sys\nclass Tee:\n    def write(self, text): pass\n    def flush(self): pass\nsys.stdout = Tee()",
        0,
    ),
    "stderr-is-none": ("import sys; sys.stderr = None", 0),
    "changes-folder": ("import os; os.chdir('/')", 0),
    "at-exit": ("import atexit; atexit.register(lambda: pg.exp(x))", 0),
    "thread": (
        "import threading; threading.Thread(target=lambda: (__import__('time').sleep(0.3), pg.exp(x))).start()",
        0,
    ),
    "pool": ("from concurrent.futures import ThreadPoolExecutor; ThreadPoolExecutor(2).submit(pg.exp, x)", 0),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_file_is_written_whatever_the_end_and_the_exit_code_is_the_scripts(tmp_path: Path, ending: str) -> None:
    text, code = ENDINGS[ending]
    written(tmp_path, "end.py", "import plugrad as pg\nx = pg.ones(3)\npg.sin(x)\n" + text)
    alone, done = python(tmp_path, "end.py"), capture(tmp_path, "end.py")
    assert (done.returncode, alone.returncode) == (code, code)
    assert done.stdout == alone.stdout
    if ending != "interrupted":
        assert done.stderr.startswith(alone.stderr) and done.stderr[len(alone.stderr) :].startswith("plugrad capture: ")
    found = counts(tmp_path / "end.ops.json")
    assert found["sin"] == 1 and found.get("exp", 0) == (ending in ("at-exit", "thread", "pool"))
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


def test_a_script_that_is_wrong_in_itself(tmp_path: Path) -> None:
    written(tmp_path, "wrong.py", "def f(:\n    pass\n")
    alone, done = python(tmp_path, "wrong.py"), capture(tmp_path, "wrong.py")
    assert done.returncode == alone.returncode == 1
    assert [line.strip() for line in alone.stderr.splitlines()][-2:] == [
        line.strip() for line in done.stderr.splitlines() if line in alone.stderr
    ][-2:]


def test_transformations_and_threads_of_a_script(tmp_path: Path) -> None:
    text = """
        import threading
        import plugrad as pg

        x = pg.ones((5, 3))
        pg.grad(lambda v: pg.sum(pg.exp(v)))(x)
        pg.vmap(pg.sin)(x)
        f = pg.compile(pg.cos)
        f(x), f(x)
        pg.compile(lambda v: pg.while_loop(lambda c: c < 3.0, lambda c: pg.sqrt(c + 9.0), v))(pg.asarray(1.0))
        thread = threading.Thread(target=lambda: pg.tanh(pg.ones(7)))
        thread.start(), thread.join()
    """
    written(tmp_path, "some.py", text)
    done = capture(tmp_path, "--device", "numpy", "--out", "other.json", "some.py")
    assert done.returncode == 0, done.stderr
    captured = load(tmp_path / "other.json")
    shapes = {(call.op, call.operands[0].shape): call.count for call in captured.calls if call.operands}
    assert shapes["exp", (5, 3)] == 1 and shapes["sin", (5, 3)] == 1 and shapes["cos", (5, 3)] == 2
    assert shapes["tanh", (7,)] == 1 and shapes["sqrt", ()] == 1 and captured.devices == ("numpy",)
    assert "left out: while" in done.stderr


def test_a_fork_of_the_script_writes_nothing(tmp_path: Path) -> None:
    text = """
        import os, sys
        import plugrad as pg
        pid = os.fork()
        if pid == 0:
            pg.exp(pg.ones(2))
            sys.exit(0)
        os.waitpid(pid, 0)
        assert not os.path.exists("fork.ops.json")
    """
    written(tmp_path, "fork.py", text)
    done = capture(tmp_path, "fork.py")
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "fork.ops.json").calls == () and done.stderr.count("written to") == 1


def test_wrong_calls_run_nothing(tmp_path: Path) -> None:
    written(tmp_path, "fine.py", "print('ran')")
    for words, code, text in (
        (("absent.py",), 1, "plugrad capture: absent.py: cannot be read: No such file or directory; name a Python"),
        (("--out", "no/folder.json", "fine.py"), 1, "does not exist; make it, or name another"),
        (("--device", "absent", "fine.py"), 1, "'absent'"),
        ((), 2, "required: SCRIPT"),
    ):
        done = capture(tmp_path, *words)
        assert (done.returncode, done.stdout) == (code, "") and text in done.stderr and "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["fine.py"]


def test_a_file_that_cannot_be_written_in_the_end(tmp_path: Path) -> None:
    written(tmp_path, "gone.py", "import os\nos.rmdir('there')\nprint('ran')")
    (tmp_path / "there").mkdir()
    done = capture(tmp_path, "--out", "there/x.json", "gone.py")
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "x.json: cannot be written: No such file or directory; name another file with --out" in done.stderr


def test_a_capture_without_a_plugin_says_which_to_install(tmp_path: Path) -> None:
    written(tmp_path, "train.py", "import plugrad as pg, plugrad_nn as nn\nnn.functional.relu(pg.ones(3))")
    assert capture(tmp_path, "train.py").returncode == 0
    assert "nn.relu" in {call["op"] for call in json.loads((tmp_path / "train.ops.json").read_text())["calls"]}
    text = "from plugrad.testing.capture import load, CaptureError\ntry:\n    load('train.ops.json')\n"
    text += "except CaptureError as error:\n    print(error)"
    done = python(tmp_path, "-c", text, PLUGRAD_PLUGINS="none")
    assert "].op: the op 'nn.relu' is not registered here" in done.stdout, done.stderr
    assert "install plugrad-nn 0.1.0, which brought it" in done.stdout
