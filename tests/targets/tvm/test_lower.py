"""Mirrors targets/tvm/lower.py: compiled programs against float64 arithmetic on decoded weights.

Bound, with u = 2^-24 and gamma(n) = n u / (1 - n u) (Higham 2002, section 3.1): a float32 sum of
n products in any order is off by at most gamma(n) times the sum of their sizes; 4 more for the
product with the scale, the zero point, the bias, and one to spare.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("tvm", reason="apache-tvm is not installed")

from lamella.errors import LoweringError
from lamella.formats import parse
from lamella.frontend.model import ActivationGrid, Compressed, Model
from lamella.frontend.trace import trace
from lamella.graph.passes.packed import pack
from lamella.grids import quantize
from lamella.targets.target import Lowered
from lamella.targets.tvm import build, program
from lamella.targets.tvm.lower import TvmTarget
from lamella.targets.tvm.runner import open_program

UNIT = 2.0**-24
COLS = 72


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(2)


def compressed(module: nn.Module, example: Tensor, *format_ids: str) -> Model:
    """Each layer in the format of its position, the last one repeated; rounded to nearest."""
    model = trace(module.eval(), (example,))
    for at, layer in enumerate(model.layers):
        format = parse(format_ids[min(at, len(format_ids) - 1)])
        if format.is_float:
            half = model.weight(layer).astype(f"f{format.bits // 8}").astype(np.float32)
            model.set_weight(layer, half)
            model.packed[layer.id] = Compressed(format.id, values=half)
            continue
        weight = quantize(model.weight(layer), format)
        model.set_weight(layer, weight.decode())
        model.packed[layer.id] = Compressed(format.id, weight)
    return model


def outputs(lowered: Lowered, **feeds: Tensor) -> dict[str, np.ndarray]:
    return open_program(lowered.program, 1).run({k: v.numpy() for k, v in feeds.items()})


def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(COLS, 24))


def exact(model: Model, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The float64 result of a model of one linear layer, and the error that float32 may have."""
    weight = model.weight(model.layers[0]).astype(np.float64)
    bias = model.module[0].bias.detach().double().numpy()
    steps = (COLS + 4) * UNIT
    return x @ weight.T + bias, steps / (1 - steps) * (abs(x) @ abs(weight).T + abs(bias))


# Every width, planes of odd widths, zero points, groups that do not divide the columns.
@pytest.mark.parametrize(
    "format_id", ["w2g16", "w3g16z", "w4g32", "w5g64z", "w6", "w8z", "w8", "f16", "f32"]
)
def test_a_linear_layer_equals_its_decoded_weights(format_id: str) -> None:
    x = torch.randn(5, COLS)
    model = compressed(linear(), x, format_id)
    expected, error = exact(model, x.double().numpy())
    lowered = TvmTarget(triple="x86_64").lower(model)
    assert (abs(outputs(lowered, input=x)["output_0"] - expected) <= error).all()
    (row,) = lowered.layers
    assert (row["id"], row["format"]) == ("0", format_id)
    weight = model.packed["0"].weight
    stored = parse(format_id).nbytes(24, COLS) if weight is None else pack(weight, "0").nbytes
    assert row["nbytes"] == stored


def test_static_inputs_lie_on_their_grid() -> None:
    model = compressed(linear(), torch.randn(6, COLS), "w8a8")
    read = ActivationGrid(0.03125, 100)
    model.packed["0"] = Compressed("w8a8", model.packed["0"].weight, input=read)
    # Multiples of half a step are ties, which go to the even code; the ends saturate.
    x = torch.arange(6 * COLS).reshape(6, COLS) * (read.scale / 2) - 4
    codes = np.clip(np.rint(x.double().numpy() / read.scale) + read.zero, 0, 255)
    expected, error = exact(model, (codes - read.zero) * read.scale)
    lowered = TvmTarget(triple="x86_64").lower(model)
    assert (abs(outputs(lowered, input=x)["output_0"] - expected) <= error).all()
    assert any("8-bit activations" in note for note in lowered.notes)


def test_dynamic_inputs_are_rounded_token_by_token() -> None:
    x = torch.randn(4, COLS) * torch.tensor([[1e-3], [1.0], [50.0], [0.0]])
    model = compressed(linear(), x, "w8a8d")
    real = x.double().numpy()
    # Powers of two times 127 make the scale exact, and with it every code.
    real[:, 0] = [2.0**-9 * 127, 2.0**-4 * 127, 2.0**2 * 127, 0]
    scale = np.maximum(abs(real).max(axis=1, keepdims=True) / 127, np.finfo(np.float32).tiny)
    expected, error = exact(model, np.rint(np.float32(real) / scale) * scale)
    got = outputs(TvmTarget(triple="x86_64").lower(model), input=torch.tensor(np.float32(real)))
    assert (abs(got["output_0"] - expected) <= error).all()


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.Conv2d(16, 16, 3, 1, 1, groups=16),
        nn.ReLU6(),
        nn.Conv2d(16, 24, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 10),
    )


def test_a_convolutional_network_equals_the_torch_module() -> None:
    x = torch.randn(1, 3, 16, 16)
    model = compressed(network(), x, "w8", "w4z", "w4g16", "w3g16")
    with torch.no_grad():
        expected = model.module(x).numpy()
    lowered = TvmTarget(triple="x86_64").lower(model)
    np.testing.assert_allclose(outputs(lowered, input=x)["output_0"], expected, atol=1e-6)
    assert any("shape of the example inputs" in note for note in lowered.notes)


def test_a_layout_that_tvm_cannot_carry_through_is_left_alone() -> None:
    module = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Flatten(2), nn.Linear(36, 16))
    x = torch.randn(1, 3, 8, 8)
    model = compressed(module, x, "f32", "w8a8d")
    rounded = model.module[1](model.module[0](x)).detach().double().numpy()
    scale = abs(rounded).max(axis=-1, keepdims=True) / 127
    weight = model.packed["2"].weight.decode().astype(np.float64)
    bias = model.module[2].bias.detach().double().numpy()
    expected = np.rint(rounded / scale) * scale @ weight.T + bias
    got = outputs(TvmTarget(triple="x86_64").lower(model), input=x)["output_0"]
    # A float32 error of the convolution may move a value over a rounding tie: one step, once.
    step = scale.max() * abs(weight).max()
    np.testing.assert_allclose(got, expected, atol=step + 1e-5)


def test_parameters_stay_packed_in_the_program() -> None:
    torch.manual_seed(0)
    model = compressed(nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256)), x256(), "w4g32")
    lowered = TvmTarget(triple="x86_64").lower(model)
    floats = 2 * 256 * 4
    packed = sum(row["nbytes"] for row in lowered.layers)
    assert packed == 2 * parse("w4g32").nbytes(256, 256)
    assert packed <= len(lowered.program[program.PARAMETERS]) <= packed + floats + 6 * 64
    # The compiled code is of a size that does not hold the weights either.
    assert len(lowered.program[program.LIBRARY]) < 256 * 256 * 4


def x256() -> Tensor:
    return torch.randn(1, 256)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(300, 64), nn.Linear(64, 300, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embed(tokens))


@pytest.mark.parametrize("format_id", ["w4g32", "f16", "f32"])
def test_tied_layers_share_their_bytes(format_id: str) -> None:
    torch.manual_seed(0)
    tokens = torch.tensor([[3, 299, 0, 17]])
    model = compressed(Tied(), tokens, format_id)
    lowered = TvmTarget(triple="x86_64").lower(model)
    once = parse(format_id).nbytes(300, 64)
    assert sum(row["nbytes"] for row in lowered.layers) == once
    assert len(lowered.program[program.PARAMETERS]) <= once + 4 * 64
    with torch.no_grad():
        expected = model.module(tokens).numpy()
    np.testing.assert_allclose(outputs(lowered, tokens=tokens)["output_0"], expected, atol=1e-4)


def test_an_encoder_runs_on_other_lengths_than_the_example() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(
        **sizes, intermediate_size=64, vocab_size=50, max_position_embeddings=64
    )
    names = ("input_ids", "attention_mask")
    free = {0: torch.export.Dim("batch", max=8), 1: torch.export.Dim("length", max=64)}
    example = {name: torch.ones((2, 8), dtype=torch.int64) for name in names}
    model = trace(transformers.BertModel(config), example, dict.fromkeys(names, free))
    for layer in model.layers:
        weight = quantize(model.weight(layer), parse("w4g32"))
        model.set_weight(layer, weight.decode())
        model.packed[layer.id] = Compressed("w4g32", weight)
    lowered = TvmTarget(triple="x86_64").lower(model)
    assert any("may differ from call to call" in note for note in lowered.notes)
    for shape in ((1, 1), (2, 8), (3, 40)):
        ids, mask = torch.randint(0, 50, shape), torch.ones(shape, dtype=torch.int64)
        mask[:, shape[1] // 2 + 1 :] = 0
        with torch.no_grad():
            expected = model.module(input_ids=ids, attention_mask=mask).last_hidden_state.numpy()
        got = outputs(lowered, input_ids=ids, attention_mask=mask)["last_hidden_state"]
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_what_cannot_be_dynamic_is_fixed_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    free = ({0: torch.export.Dim("batch", max=8)},)
    model = trace(linear(), (torch.randn(2, COLS),), free)
    compile_library = build.compile_library

    def refuses_free_sizes(module: object, triple: build.Triple) -> bytes:
        if "s" in str(module["main"].params[0].ty.shape[0]):  # type: ignore[index]
            raise LoweringError("this operator needs fixed sizes")
        return compile_library(module, triple)

    monkeypatch.setattr("lamella.targets.tvm.lower.compile_library", refuses_free_sizes)
    lowered = TvmTarget(triple="x86_64").lower(model)
    assert lowered.inputs[0]["shape"] == [2, COLS]
    assert "are fixed, because otherwise this operator needs fixed sizes" in lowered.notes[0]


SCRIPT = """
import hashlib, torch
from lamella.frontend.trace import trace
from lamella.targets.tvm.lower import TvmTarget
torch.manual_seed(1)
module = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.Flatten())
lowered = TvmTarget(triple="x86_64").lower(trace(module, (torch.zeros(1, 3, 8, 8),)))
print(*(hashlib.sha256(lowered.program[name]).hexdigest() for name in sorted(lowered.program)))
"""


def test_equal_models_give_equal_bytes_in_another_process(tmp_path: Path) -> None:
    names: dict[str, object] = {}
    exec(SCRIPT.replace("print(", "digests = list(").replace("list(*", "list("), names)
    command = [sys.executable, "-c", SCRIPT]
    settings = {"PYTHONHASHSEED": "7", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    settings["PATH"] = "/usr/local/bin:/usr/bin:/bin"
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    assert done.stdout.split() == names["digests"]
    assert hashlib.sha256(b"").hexdigest() not in done.stdout


def test_every_stored_format_is_in_the_capability_table() -> None:
    rows = TvmTarget().capabilities()
    supports = {(row.kind, row.format.id): row.support for row in rows}
    assert len(supports) == len(rows)
    assert supports["linear", "w4g32"] == supports["conv2d", "w8a8"] == "size only"
    assert supports["linear", "f32"] == "kernel"
    assert ("embedding", "w8a8") not in supports
    assert ("conv2d", "w8a8d") not in supports


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(LoweringError, match="no machine 'vax'; it has x86_64, aarch64, cuda"):
        TvmTarget(triple="vax")


def test_a_format_without_codes_is_refused() -> None:
    model = trace(linear(), (torch.randn(1, COLS),))
    model.packed["0"] = Compressed("w4g32")
    with pytest.raises(LoweringError, match="layer 0: format w4g32 needs codes"):
        TvmTarget().lower(model)


def test_a_static_format_without_the_grid_of_its_input_is_refused() -> None:
    model = compressed(linear(), torch.randn(1, COLS), "w8a8")
    with pytest.raises(LoweringError, match="layer 0: format w8a8 needs the grid of its input"):
        TvmTarget().lower(model)
