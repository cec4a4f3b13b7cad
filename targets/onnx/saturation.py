"""Finds and repairs int8 layers that x86 CPUs without VNNI compute wrongly.

There, onnxruntime multiplies unsigned activations with signed weights by vpmaddubsw, which adds
two neighbouring products in int16 and saturates: 255 * 127 * 2 is twice what int16 holds. Sums
are exact as long as the codes of two neighbours of the same sign add up to at most 128. Pairs run
along the order in which the kernel sums: the inputs of a linear layer; for a convolution the
channels of one kernel position, then the next position. Depthwise convolutions have a kernel of
their own that is exact. So is ConvInteger with unsigned weights, but which convolutions become one
depends on what reads them, so that all but depthwise ones count. Checked against onnxruntime 1.32
on an emulated CPU without VNNI.
"""

from __future__ import annotations

import copy
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lamella import formats
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.grids import Code, Grid, Quantized
from lamella.targets.onnx import capabilities

Steps = npt.NDArray[np.int64]

# 255 * 128 = 32,640 fits int16 and 255 * 129 does not; the negative side ends at 128 as well.
PAIR_TOP = 128
_ACTIVATION_TOP = 255
_VNNI = frozenset({"avx_vnni", "avx512_vnni"})


@dataclass(frozen=True, slots=True)
class Saturation:
    """A layer that can saturate: the largest |a0 * w0 + a1 * w1| of codes, and how many rows."""

    layer_id: str
    worst: int
    rows: int


def saturating_layers(model: Model) -> list[Saturation]:
    """Returns the int8 layers in which some inputs overflow an int16 pair sum."""
    found = []
    for layer in model.layers:
        weight = _integer_weight(model, layer)
        if weight is None:
            continue
        worst = pair_sums(_summed_order(_signed(weight), layer)).max(axis=1)
        if worst.max() > PAIR_TOP:
            rows = int((worst > PAIR_TOP).sum())
            found.append(Saturation(layer.id, int(worst.max()) * _ACTIVATION_TOP, rows))
    return found


def host_saturates(cpuinfo: str | None = None) -> bool:
    """Whether this computer is an x86 without VNNI.

    Args:
        cpuinfo: the text of /proc/cpuinfo; read from there if not given. Where there is no such
            file the answer is that of the weaker CPU: True on x86, False elsewhere.
    """
    if cpuinfo is None:
        if platform.machine().lower() not in ("x86_64", "amd64", "i686"):
            return False
        path = Path("/proc/cpuinfo")
        cpuinfo = path.read_text() if path.exists() else "flags :"
    lines = [line for line in cpuinfo.splitlines() if line.startswith("flags")]
    return bool(lines) and not _VNNI & set(lines[0].split())


def repair(model: Model, *, force: bool | None = None) -> Model:
    """Returns a model whose int8 layers cannot saturate on this computer.

    Only rows that can saturate change. Each gets the better of two repairs, by squared error: a
    coarser scale for the row, or the same scale with the offending pairs moved inwards. The
    weights of the module follow, so that the simulation keeps equal to what runs. Where nothing
    has to change, the model itself is returned.

    Args:
        model: a compressed model; it is not changed.
        force: True repairs on any host, False on none; None asks the host.
    """
    needed = host_saturates() if force is None else force
    saturating = saturating_layers(model) if needed else []
    if not saturating:
        return model
    repaired = replace(model, module=copy.deepcopy(model.module), packed=dict(model.packed))
    for entry in saturating:
        layer, compressed = model.layer(entry.layer_id), model.packed[entry.layer_id]
        assert compressed.weight is not None
        weight = unsaturated(compressed.weight, layer)
        repaired.packed[layer.id] = replace(compressed, weight=weight)
        repaired.set_weight(layer, weight.decode())
    return repaired


def notes(model: Model) -> tuple[str, ...]:
    """Returns a sentence for the report if layers of a model can saturate on some CPUs."""
    saturating = saturating_layers(model)
    if not saturating:
        return ()
    here = "this computer is one" if host_saturates() else "this computer is none"
    return (
        f"on x86 CPUs without VNNI, of which {here}, int16 sums can saturate in "
        f"{len(saturating)} int8 layers: {names(saturating)}; repair them before such a CPU runs "
        "this model",
    )


def names(found: Sequence[Saturation]) -> str:
    """Returns layers and their numbers of saturating rows as text, for a report."""
    return ", ".join(f"{entry.layer_id} ({entry.rows} rows)" for entry in found)


def pair_sums(signed: Steps) -> Steps:
    """Returns, for (rows, cols) signed codes, the reach of each pair of neighbours, (rows, pairs).

    The reach is the larger of the sums of the positive and of the negative parts; times 255 it
    bounds what two products add up to.
    """
    pairs = np.pad(signed, ((0, 0), (0, signed.shape[1] % 2))).reshape(len(signed), -1, 2)
    above, below = np.maximum(pairs, 0).sum(axis=2), np.maximum(-pairs, 0).sum(axis=2)
    reach: Steps = np.maximum(above, below)
    return reach


def unsaturated(weight: Quantized, layer: Layer) -> Quantized:
    """Returns the codes of a layer with every row that can saturate repaired."""
    signed = _signed(weight)
    scale = weight.grid.scale.copy()
    bad = pair_sums(_summed_order(signed, layer)).max(axis=1) > PAIR_TOP
    for row in np.flatnonzero(bad):
        signed[row], scale[row] = _better(signed[row : row + 1], scale[row], layer)
    codes: Code = (signed + weight.format.levels // 2).astype(np.uint8)
    return replace(weight, codes=codes, grid=Grid(scale, weight.grid.zero))


def _better(
    signed: Steps, scale: npt.NDArray[np.float32], layer: Layer
) -> tuple[Steps, npt.NDArray[np.float32]]:
    """Returns the repair of one (1, cols) row that changes its real weights least."""
    real = signed * scale.astype(np.float64)
    candidates = (_coarser(signed, scale, layer), (_trimmed(signed, layer), scale))
    errors = [float(((codes * step - real) ** 2).sum()) for codes, step in candidates]
    codes, step = candidates[int(np.argmin(errors))]
    return codes[0], step


def _coarser(
    signed: Steps, scale: npt.NDArray[np.float32], layer: Layer
) -> tuple[Steps, npt.NDArray[np.float32]]:
    """Fits a row to the least larger scale, in steps of 1/256, on which no pair can saturate."""
    reach = int(pair_sums(_summed_order(signed, layer)).max())
    factor = np.float32(reach / PAIR_TOP)
    while True:
        step = (scale * factor).astype(np.float32)
        codes = np.rint(signed * scale.astype(np.float64) / step).astype(np.int64)
        if pair_sums(_summed_order(codes, layer)).max() <= PAIR_TOP:
            return codes, step
        factor += np.float32(1 / 256)


def _trimmed(signed: Steps, layer: Layer) -> Steps:
    """Moves both codes of each offending pair towards 0 by half the excess, or as far as 0."""
    ordered = _summed_order(signed, layer)
    odd = ordered.shape[1] % 2
    pairs = np.pad(ordered, ((0, 0), (0, odd))).reshape(-1, 2)
    excess = pair_sums(ordered).reshape(-1) - PAIR_TOP
    for index in np.flatnonzero(excess > 0):
        sizes = np.abs(pairs[index])
        small = int(np.argmin(sizes))
        share = min(int(sizes[small]), int(excess[index]) // 2)
        cut = np.full(2, excess[index] - share)
        cut[small] = share
        pairs[index] = np.sign(pairs[index]) * (sizes - cut)
    flat = pairs.reshape(1, -1)[:, : ordered.shape[1]]
    return _stored_order(flat, layer)


def _integer_weight(model: Model, layer: Layer) -> Quantized | None:
    """Returns the codes of a layer that runs on the u8 x s8 kernel, else None."""
    compressed = model.packed.get(layer.id)
    if compressed is None or compressed.weight is None:
        return None
    format = formats.parse(compressed.format)
    integer = capabilities.form(layer.kind, format) in ("static", "dynamic")
    return compressed.weight if integer and not _is_depthwise(layer) else None


def _is_depthwise(layer: Layer) -> bool:
    """Whether every output channel reads one input channel of its own."""
    geometry = layer.convolution
    return geometry is not None and geometry.groups == layer.rows and layer.cols == _places(layer)


def _places(layer: Layer) -> int:
    """Returns the number of kernel positions, 1 for a linear layer."""
    return 1 if layer.convolution is None else math.prod(layer.convolution.kernel)


def _signed(weight: Quantized) -> Steps:
    signed: Steps = weight.codes.astype(np.int64) - weight.format.levels // 2
    return signed


def _summed_order(rows: Steps, layer: Layer) -> Steps:
    """Brings (rows, channels x positions) codes into the order of the sum, positions first."""
    by_channel = rows.reshape(len(rows), -1, _places(layer))
    return by_channel.swapaxes(1, 2).reshape(rows.shape)


def _stored_order(rows: Steps, layer: Layer) -> Steps:
    """Undoes `_summed_order`."""
    by_place = rows.reshape(len(rows), _places(layer), -1)
    return by_place.swapaxes(1, 2).reshape(rows.shape)
