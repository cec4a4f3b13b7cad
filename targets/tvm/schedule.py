"""Default schedules for CPUs: how the loops of each operator are tiled, vectorised and shared out.

TVM leaves operators as plain nests of loops unless they are tuned. Three rules cover the models
that lamella lowers: contractions (convolution in NHWC, matrix product), where a tile of outputs
stays in registers while the sum runs; chains of elementwise operators, such as the unpacking of a
weight; and TVM's own rule for normalisation and softmax. Threads divide outputs, never a sum, so
their number does not change a result.
Source: Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tvm import ir, s_tir, tirx
from tvm.s_tir.dlight.cpu import Reduction
from tvm.target import Target

# Eight floats are a register of AVX2 and two of NEON, which has twice as many.
_LANES = 8
_REGISTERS = 16
# Below this many outputs, waking the other threads takes longer than the work.
_PARALLEL_FROM = 8192
_REDUCTION = 2


@dataclass(frozen=True, slots=True)
class _Tile:
    """The outputs that are summed at a time: `rows` neighbours times `vectors` of columns."""

    rows: int
    vectors: int

    @property
    def fits(self) -> bool:
        """Whether the sums, one operand vector and the other operands stay in registers."""
        spare = self.rows if self.vectors >= self.rows else self.vectors + 1
        return self.rows * self.vectors + spare <= _REGISTERS

    @property
    def cost(self) -> float:
        """Returns cycles per multiply-add of a vector: two a cycle, each four cycles long.

        Two loads a cycle come from the first cache; a weight comes from the second, at about
        three vectors in four cycles, and serves all rows.
        """
        sums = self.rows * self.vectors
        return max(0.5, (self.rows + self.vectors) / (2 * sums), 4 / sums, 0.75 / self.rows)


def schedule_module(module: ir.IRModule, target: Target) -> ir.IRModule:
    """Returns the module with every function scheduled that one of the rules fits."""
    functions = dict(module.functions_items())
    for name, function in functions.items():
        if isinstance(function, tirx.PrimFunc):
            functions[name] = schedule(function, target) or function
    return ir.IRModule(functions, attrs=module.attrs)


def schedule(function: tirx.PrimFunc, target: Target) -> tirx.PrimFunc | None:
    """Returns the function under the first rule that fits, or None if none does."""
    for rule in (_contraction, _elementwise):
        plan = s_tir.Schedule(function)
        try:
            if rule(plan):
                return _finished(plan)
        except s_tir.ScheduleError:
            # The rule met a form of loops that it cannot move; the next one may fit.
            continue
    with target:
        found = Reduction().apply(function, target, False)
    return None if found is None else _finished(found)


def _finished(plan: s_tir.Schedule) -> tirx.PrimFunc:
    return plan.mod["main"].with_attr("tirx.is_scheduled", True)


def _contraction(plan: s_tir.Schedule) -> bool:
    """Sums tiles of outputs in registers and finishes each there: bias, activation, residual."""
    blocks = plan.get_child_blocks(plan.get_sblock("root"))
    sums = [at for at, block in enumerate(blocks) if _is_sum(plan, block)]
    if len(sums) != 1 or len(plan.get(blocks[sums[0]]).reads) < 2:
        return False
    total, finishing = blocks[sums[0]], blocks[sums[0] + 1 :]
    for block in blocks[: sums[0]]:
        _share(plan, block)
    for block in finishing[:-1]:
        plan.compute_inline(block)
    loops = plan.get_loops(total)
    spatial = [loop for loop, is_sum in zip(loops, _sums(plan, total), strict=True) if not is_sum]
    over = [loop for loop, is_sum in zip(loops, _sums(plan, total), strict=True) if is_sum]
    if len(spatial) < 2 or (tile := _best_tile(plan, spatial)) is None:
        return False
    last = finishing[-1] if finishing else plan.cache_write(total, 0, "global")
    row_outer, row = plan.split(spatial[-2], [None, tile.rows])
    outer, vector, lane = plan.split(spatial[-1], [None, tile.vectors, _LANES])
    plan.reorder(outer, *spatial[:-2], row_outer, *over, row, vector, lane)
    plan.reverse_compute_at(last, row_outer)
    finished_row, finished_columns = plan.get_loops(last)[-2:]
    _spell_out(plan, finished_row, *plan.split(finished_columns, [tile.vectors, _LANES]))
    _spell_out(plan, row, vector, lane)
    plan.parallel(plan.fuse(outer, *spatial[:-2]) if spatial[:-2] else outer)
    plan.decompose_reduction(total, over[0])
    return True


def _elementwise(plan: s_tir.Schedule) -> bool:
    """Computes a chain of elementwise operators in one pass over its output."""
    blocks = plan.get_child_blocks(plan.get_sblock("root"))
    if any(_is_sum(plan, block) for block in blocks):
        return False
    for block in blocks[:-1]:
        plan.compute_inline(block)
    _share(plan, blocks[-1])
    return True


def _share(plan: s_tir.Schedule, block: Any) -> None:
    """Divides the loops of a block among threads and vectors."""
    loops = plan.get_loops(block)
    if not loops:
        return
    extents = [_extent(plan, loop) for loop in loops]
    outer = loops
    if extents[-1] % _LANES == 0 and extents[-1]:
        before, lanes = plan.split(loops[-1], [None, _LANES])
        plan.vectorize(lanes)
        outer = [*loops[:-1], before]
    # An extent of 0 stands for one that is known only when the model runs.
    if math.prod(extents) >= _PARALLEL_FROM or 0 in extents:
        plan.parallel(plan.fuse(*outer) if len(outer) > 1 else outer[0])


def _spell_out(plan: s_tir.Schedule, row: Any, vector: Any, lane: Any) -> None:
    """Writes a tile as straight code, whose sums a compiler then keeps in registers."""
    for loop in (row, vector):
        # A single row of an unknown number is a loop that TVM cannot prove to run once.
        if _extent(plan, loop) > 1:
            plan.unroll(loop)
    plan.vectorize(lane)


def _best_tile(plan: s_tir.Schedule, spatial: list[Any]) -> _Tile | None:
    """Returns the cheapest tile that divides the outputs, or None where columns do not divide."""
    height, width = (_extent(plan, loop) for loop in spatial[-2:])
    if width == 0 or width % _LANES:
        return None
    tiles = [
        _Tile(rows, vectors)
        for rows in range(1, _REGISTERS)
        for vectors in range(1, _REGISTERS)
        if (rows == 1 or (height and height % rows == 0)) and width // _LANES % vectors == 0
    ]
    return min(
        (tile for tile in tiles if tile.fits),
        key=lambda tile: (tile.cost, -tile.rows * tile.vectors),
    )


def _sums(plan: s_tir.Schedule, block: Any) -> list[bool]:
    """Returns for each loop of a block whether it runs over the terms of a sum."""
    return [int(axis.iter_type) == _REDUCTION for axis in plan.get(block).iter_vars]


def _is_sum(plan: s_tir.Schedule, block: Any) -> bool:
    return any(_sums(plan, block))


def _extent(plan: s_tir.Schedule, loop: Any) -> int:
    """Returns how often a loop runs, or 0 if that is known only when the model runs."""
    extent = plan.get(loop).extent
    return int(extent) if isinstance(extent, tirx.IntImm) else 0
