"""Mirrors targets/onnx/saturation.py: against brute force, a model of the saturating kernel in
numpy, and, where qemu-x86_64 is installed, onnxruntime itself on a CPU without VNNI."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lamella.formats import parse
from lamella.frontend.model import ActivationGrid, Compressed, Model
from lamella.frontend.trace import trace
from lamella.grids import Grid, Quantized, quantize
from lamella.targets.onnx import saturation
from lamella.targets.onnx.lower import OnnxTarget
from lamella.targets.onnx.runner import open_program
from lamella.targets.onnx.saturation import host_saturates, pair_sums, repair, saturating_layers

INPUT = ActivationGrid(1.0, 0)

# Kind of layer: module, shape of the input, and whether its kernel saturates.
LAYERS = {
    "linear": (lambda: nn.Linear(31, 5, bias=False), (4, 31), True),
    "pointwise": (lambda: nn.Conv2d(8, 6, 1, bias=False), (1, 8, 4, 4), True),
    "even channels": (lambda: nn.Conv2d(8, 6, 3, bias=False), (1, 8, 4, 4), True),
    "odd channels": (lambda: nn.Conv2d(7, 6, 3, bias=False), (1, 7, 4, 4), True),
    "grouped": (lambda: nn.Conv2d(8, 6, 3, groups=2, bias=False), (1, 8, 4, 4), True),
    "multiplier": (lambda: nn.Conv2d(4, 8, 3, groups=4, bias=False), (1, 4, 4, 4), True),
    "depthwise": (lambda: nn.Conv2d(8, 8, 3, groups=8, bias=False), (1, 8, 4, 4), False),
    "one axis": (lambda: nn.Conv1d(7, 6, 3, bias=False), (1, 7, 8), True),
}


@cache
def planted(kind: str, format_id: str = "w8a8") -> Model:
    """A layer with codes of 60 to 127 and random signs; its first row is all 127."""
    make, shape, _ = LAYERS[kind]
    torch.set_num_threads(1)
    first = make()
    # A convolution runs on the kernel that saturates where the next layer rounds its output.
    chain = [first] if len(shape) == 2 else [first, identity(first)]
    model = trace(nn.Sequential(*chain).eval(), (torch.zeros(shape),))
    layer, *readers = model.layers
    rng = np.random.default_rng(0)
    signed = rng.integers(60, 128, (layer.rows, layer.cols)) * rng.choice(
        [-1, 1], (layer.rows, layer.cols)
    )
    signed[0] = 127
    grid = Grid(
        np.linspace(0.5, 1.5, layer.rows, dtype=np.float32)[:, None],
        np.full((layer.rows, 1), 128, np.uint8),
    )
    weight = Quantized(parse(format_id), (signed + 128).astype(np.uint8), grid)
    model.set_weight(layer, weight.decode())
    limit = float(np.abs(weight.decode()).sum(axis=1).max()) * 255
    static = parse(format_id).activation == "static"
    model.packed[layer.id] = Compressed(format_id, weight=weight, input=INPUT if static else None)
    for reader in readers:
        one = quantize(model.weight(reader), parse("w8a8"))
        given = ActivationGrid(float(np.float32(limit / 127)), 128)
        model.packed[reader.id] = Compressed("w8a8", weight=one, input=given)
    return model


def identity(layer: nn.Module) -> nn.Module:
    """A depthwise layer, whose kernel is exact, that hands on what it reads."""
    channels = layer.out_channels
    reader = type(layer)(channels, channels, 1, groups=channels, bias=False)
    nn.init.ones_(reader.weight)
    return reader


def large_inputs(model: Model) -> np.ndarray:
    """Codes of 200 to 255 on the grid of the input."""
    shape = model.args[0].shape
    return np.random.default_rng(1).integers(200, 256, shape).astype(np.float32)


def saturating_sum(codes: np.ndarray, signed: np.ndarray) -> np.ndarray:
    """(n, cols) unsigned times (rows, cols) signed codes as the kernel without VNNI adds them."""
    odd = codes.shape[1] % 2
    products = codes[:, None, :].astype(np.int64) * signed[None].astype(np.int64)
    pairs = np.pad(products, ((0, 0), (0, 0), (0, odd))).reshape(*products.shape[:2], -1, 2)
    return np.clip(pairs.sum(axis=-1), -32768, 32767).sum(axis=-1)


def signed_of(model: Model) -> np.ndarray:
    return next(iter(model.packed.values())).weight.codes.astype(np.int64) - 128


def test_the_reach_of_a_pair_is_what_no_pair_of_inputs_exceeds() -> None:
    ends = (0, 255)
    for first, second in product((-128, -65, -64, 0, 63, 64, 65, 127), repeat=2):
        sums = [a * first + b * second for a, b in product(ends, ends)]
        (reach,) = pair_sums(np.array([[first, second]])).ravel()
        assert reach * 255 == max(abs(total) for total in sums)
        fits = min(sums) >= -32768 and max(sums) <= 32767
        assert (reach <= saturation.PAIR_TOP) == fits


@pytest.mark.parametrize("kind", LAYERS)
def test_a_planted_layer_is_detected_unless_its_kernel_is_exact(kind: str) -> None:
    found = saturating_layers(planted(kind))
    assert [entry.layer_id for entry in found] == (["0"] if LAYERS[kind][2] else [])
    if found:
        assert found[0].worst == 254 * 255
        assert found[0].rows >= 1


@pytest.mark.parametrize("format_id", ["w8a8", "w8a8d"])
def test_the_numpy_kernel_saturates_before_the_repair_and_not_after(format_id: str) -> None:
    model = planted("linear", format_id)
    codes = large_inputs(model)
    signed, repaired = signed_of(model), signed_of(repair(model, force=True))
    assert (saturating_sum(codes, signed) != codes @ signed.T).any()
    np.testing.assert_array_equal(saturating_sum(codes, repaired), codes @ repaired.T)


def test_the_repair_works_for_any_inputs() -> None:
    repaired = signed_of(repair(planted("linear"), force=True))
    codes = np.random.default_rng(2).choice([0, 255], (500, 31))
    np.testing.assert_array_equal(saturating_sum(codes, repaired), codes @ repaired.T)


@pytest.mark.parametrize("kind", [kind for kind in LAYERS if LAYERS[kind][2]])
def test_a_repaired_layer_is_no_longer_found_and_its_module_follows(kind: str) -> None:
    model = planted(kind)
    repaired = repair(model, force=True)
    assert saturating_layers(repaired) == []
    layer = model.layers[0]
    decoded = repaired.packed[layer.id].weight.decode()
    np.testing.assert_array_equal(repaired.weight(layer), decoded)
    np.testing.assert_array_equal(model.weight(layer), model.packed[layer.id].weight.decode())


def test_rows_that_cannot_saturate_keep_their_codes() -> None:
    model = planted("linear")
    weight = model.packed["0"].weight
    codes = weight.codes.copy()
    codes[2] = 128 + 64
    tame = replace(
        model, packed={"0": replace(model.packed["0"], weight=replace(weight, codes=codes))}
    )
    repaired = repair(tame, force=True).packed["0"].weight
    np.testing.assert_array_equal(repaired.codes[2], codes[2])
    assert repaired.grid.scale[2] == weight.grid.scale[2]


def one_row(signed: list[int]) -> Quantized:
    format = parse("w8a8")
    grid = Grid(np.ones((1, 1), np.float32), np.full((1, 1), 128, np.uint8))
    return Quantized(format, (np.array([signed]) + 128).astype(np.uint8), grid)


def test_one_bad_pair_among_many_is_moved_and_many_bad_pairs_get_a_coarser_scale() -> None:
    (layer,) = planted("linear").layers
    many_fine = saturation.unsaturated(one_row([66, 66] + [41, -37] * 200), layer)
    assert many_fine.grid.scale[0, 0] == 1
    np.testing.assert_array_equal(many_fine.codes[0, :2], [128 + 64, 128 + 64])
    all_bad = saturation.unsaturated(one_row([120, 120] * 10), layer)
    assert all_bad.grid.scale[0, 0] > 1
    assert np.abs(all_bad.decode() - 120).max() < 1


def test_a_pair_of_a_large_and_a_small_code_keeps_its_signs() -> None:
    (layer,) = planted("linear").layers
    repaired = saturation.unsaturated(one_row([127, 3] + [41, -37] * 200), layer)
    signed = repaired.codes[0, :2].astype(int) - 128
    assert signed.sum() == 128
    assert (signed >= 0).all()


@pytest.mark.parametrize("format_id", ["w6a8", "w4a8", "w8", "w8g32"])
def test_narrow_codes_and_float_inputs_cannot_saturate(format_id: str) -> None:
    model = planted("linear")
    weight = model.packed["0"].weight
    packed = Compressed(format_id, weight=replace(weight, format=parse(format_id)))
    half = parse(format_id).levels // 2
    codes = np.full_like(weight.codes, 2 * half - 1)
    packed = replace(packed, weight=replace(packed.weight, codes=codes))
    assert saturating_layers(replace(model, packed={"0": packed})) == []


def test_nothing_changes_where_the_host_is_exact() -> None:
    model = planted("linear")
    assert repair(model, force=False) is model


@pytest.mark.parametrize(
    ("text", "saturates"),
    [
        ("flags\t\t: fpu sse2 avx2 fma", True),
        ("flags : avx2 avx_vnni", False),
        ("flags : avx512f avx512_vnni", False),
        ("Features : fp asimd asimddp", False),
    ],
)
def test_the_host_is_judged_by_its_flags(text: str, saturates: bool) -> None:
    assert host_saturates(f"processor : 0\n{text}\n") == saturates


def test_the_lowered_model_names_the_layers() -> None:
    (note,) = OnnxTarget().lower(planted("even channels")).notes
    assert "without VNNI" in note
    assert "0 (6 rows)" in note


EMULATED = """
import sys
from pathlib import Path
import numpy as np
from lamella.targets.onnx.runner import open_program
for path in sorted(Path(sys.argv[1]).glob("*.onnx")):
    x = np.load(path.with_suffix(".npy"))
    (y,) = open_program({"model.onnx": path.read_bytes()}, 1).run({"input": x}).values()
    np.save(path.with_suffix(".out.npy"), y)
"""


@pytest.fixture(scope="module")
def without_vnni(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs every planted model, as it is and repaired, on an emulated CPU without VNNI."""
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("qemu-x86_64 is not installed")
    folder = tmp_path_factory.mktemp("emulated")
    for kind, format_id in [*((kind, "w8a8") for kind in LAYERS), ("linear", "w8a8d")]:
        for state in ("planted", "repaired"):
            model = planted(kind, format_id)
            model = repair(model, force=True) if state == "repaired" else model
            program = OnnxTarget().lower(model).program["model.onnx"]
            stem = folder / f"{kind} {format_id} {state}"
            stem.with_suffix(".onnx").write_bytes(program)
            np.save(stem.with_suffix(".npy"), large_inputs(model))
            here = open_program({"model.onnx": program}, 1).run({"input": large_inputs(model)})
            np.save(stem.with_suffix(".here.npy"), here["output_0"])
    command = [emulator, "-cpu", "max", sys.executable, "-c", EMULATED, str(folder)]
    subprocess.run(command, check=True, timeout=120)
    return folder


def outputs(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    return np.load(folder / f"{name}.out.npy"), np.load(folder / f"{name}.here.npy")


exact_here = pytest.mark.skipif(host_saturates(), reason="this computer saturates itself")


@exact_here
@pytest.mark.parametrize("kind", LAYERS)
def test_without_vnni_exactly_the_layers_that_are_found_go_wrong(
    kind: str, without_vnni: Path
) -> None:
    there, here = outputs(without_vnni, f"{kind} w8a8 planted")
    assert (there != here).any() == LAYERS[kind][2]


@exact_here
@pytest.mark.parametrize("kind", LAYERS)
def test_without_vnni_repaired_layers_are_exact(kind: str, without_vnni: Path) -> None:
    there, here = outputs(without_vnni, f"{kind} w8a8 repaired")
    np.testing.assert_array_equal(there, here)


@exact_here
def test_without_vnni_dynamic_layers_saturate_and_are_repaired(without_vnni: Path) -> None:
    there, here = outputs(without_vnni, "linear w8a8d planted")
    assert (there != here).any()
    there, here = outputs(without_vnni, "linear w8a8d repaired")
    np.testing.assert_array_equal(there, here)


def test_without_vnni_the_kernel_is_the_one_in_numpy(without_vnni: Path) -> None:
    model = planted("linear")
    there, _ = outputs(without_vnni, "linear w8a8 planted")
    total = saturating_sum(large_inputs(model).astype(np.int64), signed_of(model))
    scale = model.packed["0"].weight.grid.scale[:, 0]
    np.testing.assert_allclose(there, total * scale, rtol=1e-6)


@pytest.mark.parametrize("saturates", [True, False])
def test_the_target_repairs_and_names_layers_only_where_this_computer_saturates(
    monkeypatch: pytest.MonkeyPatch, saturates: bool
) -> None:
    monkeypatch.setattr(saturation, "host_saturates", lambda: saturates)
    model = planted("linear")
    adapted = OnnxTarget().adapt(model)
    assert bool(saturation.saturating_layers(adapted)) != saturates
    assert [note for note in adapted.notes if "0 (" in note] == list(adapted.notes)
    assert bool(adapted.notes) == saturates
