"""Every text compiles for three GPUs, within a budget of registers and without spilling. Needs NVRTC, and no GPU."""

from __future__ import annotations

import io
import json
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_lab import has_cuda_python

from plugrad_cuda import (
    bodies,
    catalogue,
    contraction,
    expressions,
    generate,
    grouping,
    reduction,
    samples,
    text,
    toolchain,
)
from plugrad_cuda.backend import CudaBackend
from plugrad_cuda.probe import no_compiler

BUDGET = json.loads((Path(__file__).parent / "registers.json").read_text(encoding="utf-8"))
REPORT = re.compile(
    r"Compiling entry function '(\w+)'.*\n.*Function properties.*\n"
    r".*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n.*Used (\d+) registers"
)
BATCH = 64


def compiled(entries: list[text.Entry], arch: str) -> dict[str, tuple[int, int]]:
    """Registers and spilled bytes of each kernel, as the assembler says."""
    log = io.StringIO()
    toolchain.Nvrtc(cached=False).compile(text.program(entries), arch, logs=log, ptxas_options=["-v"])
    return {m[1]: (int(m[5]), int(m[3]) + int(m[4])) for m in REPORT.finditer(log.getvalue())}


@pytest.fixture(scope="module")
def nvrtc() -> None:
    if not has_cuda_python() or nvrtc_is_missing():
        pytest.skip("no CUDA device is needed here, but NVRTC is, and it is not installed")


def nvrtc_is_missing() -> str:
    """Why NVRTC cannot be used, whatever toolchain is in use."""
    chosen = toolchain._chosen
    toolchain.use(None)
    try:
        return no_compiler()
    finally:
        toolchain.use(chosen)


def budget(name: str) -> int:
    """The registers that a kernel may use: those of the first pattern that fits its name."""
    return next(most for pattern, most in BUDGET["registers"] if fnmatch(name, pattern))


@pytest.mark.parametrize("arch", BUDGET["architectures"])
def test_every_kernel_compiles_within_its_budget(arch: str, nvrtc: None) -> None:
    entries = list(catalogue.entries())
    found: dict[str, tuple[int, int]] = {}
    for at in range(0, len(entries), BATCH):
        found |= compiled(entries[at : at + BATCH], arch)
    assert set(found) == {name for name, _ in entries}
    assert {name: used for name, (_, used) in found.items() if used} == {}, "bytes spilled"
    over = {name: (used, budget(name)) for name, (used, _) in found.items() if used > budget(name)}
    assert over == {}, "registers used, registers allowed"


def assembly(entry: text.Entry) -> str:
    """PTX of a kernel, by NVRTC itself: cuda-core would ask for a driver."""
    from cuda.bindings import nvrtc as compiler

    def made(answer: tuple[Any, ...]) -> Any:
        assert int(answer[0]) == 0, answer[0]
        return answer[1] if len(answer) > 1 else None

    program = made(compiler.nvrtcCreateProgram(text.program([entry]).encode(), b"kernels.cu", 0, [], []))
    made(compiler.nvrtcCompileProgram(program, 2, [b"--gpu-architecture=sm_90", b"--std=c++17"]))
    ptx = b" " * made(compiler.nvrtcGetPTXSize(program))
    made(compiler.nvrtcGetPTX(program, ptx))
    return ptx.decode()


def test_ops_of_a_group_are_rounded_one_by_one(nvrtc: None) -> None:
    """No product is contracted with a sum of another op; four neighbours are one access."""
    form = grouping.Each("dddduu", 4, 0, False, True)
    for dtype, suffix in ((np.float32, "f32"), (np.float64, "f64")):
        body = samples.step((64,), dtype)
        ptx = assembly(grouping.each(bodies.Text(body), form))
        assert "fma." not in ptx and ptx.count(f"mul.rn.{suffix}") == 7 * (4 + 1)
    ptx = assembly(grouping.each(bodies.Text(samples.chain((64,))), form._replace(lies="dddd")))
    assert ptx.count("ld.global.v4.f32") == 4 and ptx.count("st.global.v4.f32") == 1


def test_names_are_unique_and_say_what_a_kernel_is() -> None:
    names = [name for name, _ in catalogue.entries()]
    assert len(set(names)) == len(names) > 500
    assert {"add_f4_f4_f4_dd_x4", "cast_f8_b1_d_x2", "sum_f4_whole_rows256_1_1", "matmul_f4_large_rr_1"} <= set(names)


def test_the_catalogue_holds_every_kernel_of_the_table() -> None:
    known = {function.name for function in catalogue.functions()} | set(reduction.FOLDS)
    known |= {name.partition("_f4")[0] for name, _ in catalogue.entries()} | {"random_bits", "fused"}
    views = {"reshape", "permute", "broadcast_to", "slice", "pad", "concat", "slice_update"}
    assert set(CudaBackend.kernels) - views <= known


def test_texts_include_nothing_and_are_complete() -> None:
    for file in ("common.cuh", "arithmetic.cuh"):
        assert "#include" not in text.read(file)
    for name, body in catalogue.entries():
        assert "$" not in body and "#include" not in body and "asm" not in body, name
        assert 'extern "C" ' in body and "__launch_bounds__(256" in body and f" {name}(" in body, name


def test_parts_of_a_file_are_cut_where_they_say() -> None:
    dense, strided = text.template("elementwise.cu", "dense"), text.template("elementwise.cu", "strided")
    assert "$packs" in dense.template and "$coordinates" not in dense.template
    assert "$coordinates" in strided.template and "$packs" not in strided.template


def test_wide_positions_are_only_where_they_are_asked_for() -> None:
    function = generate.Function("copy", "x", "f4", ("f4",))
    narrow = generate.entry(function, generate.Form("v", 0, 2, False))[1]
    wide = generate.entry(function, generate.Form("v", 0, 2, True))[1]
    assert "int64" not in narrow.partition("extern")[2] and "unsigned" not in wide.partition("extern")[2]


def test_lanes_fill_sixteen_bytes() -> None:
    assert generate.lanes_of(generate.Function("add", "", "f4", ("f4", "f4"))) == 4
    assert generate.lanes_of(generate.Function("less", "", "b1", ("f8", "f8"))) == 2
    assert generate.lanes_of(generate.Function("invert", "", "b1", ("b1",))) == 8


def test_tiles_are_whole() -> None:
    for tile in contraction.TILES.values():
        assert (tile.m // tile.each_m) * (tile.n // tile.each_n) == 256
        assert tile.m % tile.each_m == tile.n % tile.each_n == 0
        assert tile.m * tile.k % 256 == tile.n * tile.k % 256 == 0


def test_reductions_are_cut_alike_everywhere() -> None:
    """The cut depends on the shape alone, so results are the same on every GPU; no part is empty."""
    for results in (1, 3, 200, 5000, 1 << 20):
        for count in (1, 16, 17, 600, 5000, 1 << 20, (1 << 24) + 1):
            for kept, reduced in (((count,), (1,)), ((1,), (results,))):
                (lanes, rows), parts = reduction.cut(results, count, kept, reduced)
                each = -(-count // parts)
                assert 256 % lanes == 0 and each * (parts - 1) < count <= each * parts
                assert parts == 1 or each >= lanes, (results, count, rows)


def test_expressions_cover_what_the_core_allows() -> None:
    """Every legal dtype of an op that is stored, but for powers of integers, which raise for negative exponents."""
    from plugrad import OPS
    from plugrad.dtypes import SHORT

    for name, kinds in {**expressions.UNARY, **expressions.BINARY, **expressions.COMPARISONS}.items():
        if name in OPS and name != "pow":
            legal = {expressions.kind(SHORT[c]) for c in OPS[name].codes if SHORT[c] in text.STORED}
            assert set(kinds) == legal, name
