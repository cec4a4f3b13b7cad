"""Mirrors targets/tvm/schedule.py: every rule against float64, and against itself in threads.

Bound: the error of a float32 sum of n products in any order is at most gamma(n) times the sum of
their sizes (Higham 2002, section 3.1); one step more for the bias.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("tvm", reason="apache-tvm is not installed")

from tvm import relax
from tvm.ir.transform import Sequential
from tvm.relax.backend.cpu_generic import pipeline as cpu
from tvm.target import Target

from lamella.frontend.trace import trace
from lamella.targets.tvm import build, schedule
from lamella.targets.tvm.lower import TvmTarget
from lamella.targets.tvm.runner import open_program

UNIT = 2.0**-24


def run(module: nn.Module, x: Tensor, threads: int = 1) -> np.ndarray:
    files = TvmTarget(triple="x86_64").lower(trace(nn.Sequential(module), (x,))).program
    return open_program(files, threads).run({"input": x.numpy()})["output_0"]


def sizes(module: nn.Module) -> nn.Module:
    """The module with |weight| and |bias|: applied to |x| it gives the sum of the sizes."""
    made = copy.deepcopy(module).double()
    for tensor in made.parameters():
        tensor.data.abs_()
    return made


def convolution(rows: int, cols: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(cols, rows, kernel, stride, kernel // 2, groups=groups)


# Channels that divide into vectors of eight in several ways, that do not, and images of a height
# and width that no tile divides.
@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (convolution(16, 3, 3, 2), (1, 3, 15, 15)),
        (convolution(24, 8, 1), (2, 8, 14, 14)),
        (convolution(40, 16, 1), (1, 16, 7, 7)),
        (convolution(112, 24, 1), (1, 24, 14, 14)),
        (convolution(10, 4, 3), (1, 4, 11, 13)),
        (convolution(48, 48, 5, 2, groups=48), (1, 48, 9, 9)),
        (convolution(16, 32, 3, groups=4), (1, 32, 8, 8)),
        (nn.Linear(33, 40), (12, 33)),
        (nn.Linear(64, 24), (2, 7, 64)),
        (nn.Linear(5, 3), (1, 5)),
    ],
    ids=str,
)
def test_sums_of_products_are_right_in_every_tile(
    module: nn.Module, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(1)
    x = torch.randn(shape)
    with torch.no_grad():
        exact = copy.deepcopy(module).double()(x.double()).numpy()
        size = sizes(module)(x.double().abs()).numpy()
    terms = module.weight[0].numel() + 1
    error = np.abs(run(module, x) - exact)
    assert (error <= terms * UNIT / (1 - terms * UNIT) * size).all()


def test_the_number_of_threads_changes_no_bit() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(convolution(32, 3, 3, 2), nn.ReLU6(), convolution(32, 32, 1))
    x = torch.randn(1, 3, 64, 64)
    files = TvmTarget(triple="x86_64").lower(trace(module, (x,))).program
    one, three = (
        open_program(files, threads).run({"input": x.numpy()})["output_0"] for threads in (1, 3)
    )
    np.testing.assert_array_equal(one, three)


def scheduled(call: relax.Call, *variables: relax.Var) -> str:
    """The text of the one function that an operator becomes, after our schedule."""
    builder = relax.BlockBuilder()
    with builder.function("main", list(variables)):
        with builder.dataflow():
            output = builder.emit_output(builder.emit(call))
        builder.emit_func_output(output)
    target = Target(build.MACHINES["x86_64"].target)
    with target:
        module = Sequential(cpu.legalize_passes(target))(builder.get())
    done = schedule.schedule_module(module, target)
    (function,) = [name for name in done.functions if name.name_hint != "main"]
    return str(done[function].script())


def variable(name: str, *shape: int) -> relax.Var:
    return relax.Var(name, relax.TensorType(shape, "float32"))


def test_a_matrix_product_is_tiled_vectorised_and_shared() -> None:
    a, b = variable("a", 12, 64), variable("b", 64, 96)
    text = scheduled(relax.op.matmul(a, b), a, b)
    for word in ("T.parallel", "T.vectorized(", "T.unroll"):
        assert word in text


def test_columns_that_are_no_vectors_leave_a_product_unscheduled() -> None:
    a, b = variable("a", 12, 64), variable("b", 64, 9)
    assert "T.unroll" not in scheduled(relax.op.matmul(a, b), a, b)


def test_little_work_is_not_shared_among_threads() -> None:
    small, large = variable("a", 64, 8), variable("a", 1024, 8)
    assert "T.parallel" not in scheduled(relax.op.exp(small), small)
    assert "T.parallel" in scheduled(relax.op.exp(large), large)


@pytest.mark.parametrize(("height", "width"), [(7, 192), (14, 112), (56, 24), (112, 96), (1, 1000)])
def test_a_tile_divides_the_outputs_and_fits_the_registers(height: int, width: int) -> None:
    tiles = [
        schedule._Tile(rows, vectors)
        for rows in range(1, 16)
        for vectors in range(1, 16)
        if height % rows == 0 and width % (8 * vectors) == 0
    ]
    fitting = [tile for tile in tiles if tile.rows * tile.vectors + 1 < 16 and tile.fits]
    assert fitting
    assert min(tile.cost for tile in fitting) < schedule._Tile(1, 1).cost
