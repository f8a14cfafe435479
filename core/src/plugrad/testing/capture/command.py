"""``plugrad capture SCRIPT``: runs a script as Python would, and writes down which ops it called."""

from __future__ import annotations

import argparse
import atexit
import builtins
import io
import os
import sys
import types
from collections import Counter
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path

from ...fallback import columns
from ...ops.creation import set_default_device
from .format import Captured, CaptureError, save
from .recorder import Recorder


def main(argv: Sequence[str]) -> int:
    """Run a script, as `python SCRIPT` would, and record every distinct call of an op that reached a backend, with
    shapes, dtypes and attributes, in a file. plugrad.testing.capture makes checks of a backend from it. The exit code
    is the script's. Calls in other processes are not recorded.
    """
    parser = argparse.ArgumentParser(prog="plugrad capture", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--out", metavar="FILE", help="the file to write (default: the script's name with .ops.json)")
    parser.add_argument("--device", metavar="NAME", help="the default device of the run, such as numpy, cpu or cuda:0")
    parser.add_argument("script", metavar="SCRIPT", help="the script")
    parser.add_argument("args", metavar="...", nargs=argparse.REMAINDER, help="its arguments")
    options = parser.parse_args(argv)
    out = Path(options.out or f"{Path(options.script).stem}.ops.json").absolute()
    source = _source(options.script)
    if not out.parent.is_dir():
        raise CaptureError(f"--out {out}: the folder {out.parent} does not exist; make it, or name another")
    if options.device is not None:
        set_default_device(options.device)
    recorder = Recorder()
    atexit.register(_finish, recorder, options.script, out, os.getpid())  # after the script's own, and its threads
    recorder.__enter__()
    return _run(options.script, source, options.args)


def _source(script: str) -> bytes:
    try:
        with io.open_code(os.path.abspath(script)) as file:
            return file.read()
    except OSError as error:
        raise CaptureError(f"{script}: cannot be read: {error.strerror}; name a Python script") from error


def _run(script: str, source: bytes, args: Sequence[str]) -> int:
    """The script as the main module of this process, which stays its own; the exit code."""
    path = os.path.abspath(script)
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=path, __builtins__=builtins, __cached__=None)
    module.__loader__ = SourceFileLoader("__main__", path)
    if "__annotations__" in vars(sys.modules["__main__"]):  # until Python 3.13
        module.__annotations__ = {}
    sys.modules["__main__"] = module
    sys.argv[:] = [script, *args]
    if not sys.flags.safe_path:
        sys.path[0:1] = [os.path.dirname(os.path.realpath(path))]
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    except Exception as error:
        trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 1
    return 0


def _finish(recorder: Recorder, script: str, out: Path, process: int) -> None:
    """Write the file and the summary; not in a process that the script forked."""
    if os.getpid() != process:
        return
    recorder.__exit__()
    captured = recorder.captured(script)
    console = sys.stderr or sys.__stderr__  # the script may have set it to None, which would mean stdout
    try:
        save(captured, out)
    except CaptureError as error:
        print(f"plugrad capture: {error}", file=console)
    else:
        print(f"{summary(captured)}\nwritten to {out}", file=console)


def summary(captured: Captured) -> str:
    """The ops by number of calls, and what was left out."""
    calls = sum(call.count for call in captured.calls)
    text = [f"plugrad capture: {calls} calls of ops, {len(captured.calls)} distinct, of {captured.script}"]
    totals: Counter[str] = Counter()
    distinct = Counter(call.op for call in captured.calls)
    how: dict[str, Counter[str]] = {}
    for call in captured.calls:
        totals[call.op] += call.count
        how.setdefault(call.op, Counter()).update(call.how)
    rows = [("op", "calls", "distinct", "how")]
    for op, count in sorted(totals.items(), key=lambda pair: (-pair[1], pair[0])):
        words = ", ".join(how[op]) if len(how[op]) == 1 else ", ".join(f"{n} {word}" for word, n in how[op].items())
        rows.append((op, str(count), str(distinct[op]), words))
    if captured.calls:
        text.append(columns(rows, "<>><"))
    text += [f"left out: {one.op}, {one.count} times: {one.reason}" for one in captured.left_out]
    return "\n".join(text)
