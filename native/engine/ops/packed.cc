#include "engine/ops/packed.h"

#include "base/formats.h"

namespace lamella {
namespace {

bool is_group(std::int64_t group) {
  for (const int cols : kGroups) {
    if (group == cols) return true;
  }
  return group == 0;
}

}  // namespace

void check_codes(Check& check, const Call& call, const CodesAt& at) {
  if (!check.ok()) return;
  const std::int64_t bits = call.integers[at.integer];
  check.require(bits > 1 && bits <= 8 && packs(static_cast<int>(bits)), "no format has its bits");
  check.require(is_group(call.integers[at.integer + 1]), "no format has its group");
}

void check_code_sizes(Check& check, const Call& call, const CodesAt& at, const MatrixSize& size) {
  if (!check.ok()) return;
  const auto bits = static_cast<int>(call.integers[at.integer]);
  const auto group = static_cast<std::size_t>(call.integers[at.integer + 1]);
  const std::size_t strips = strips_of(size.rows), grids = grids_of(size.cols, group);
  check.array(at.operand, DType::kU8, {strips, blocks_of(size.cols), tile_bytes(bits)});
  check.array(at.operand + 1, group == 0 ? DType::kF32 : DType::kF16, {strips, grids, kStripRows});
  check.optional(at.operand + 2, DType::kU8, {strips, grids, kStripRows});
}

LinearWeight weight_of(const Call& call, const CodesAt& at, const MatrixSize& size) {
  const Tensor& scale = *call.operand(at.operand + 1);
  const Tensor* zero = call.operand(at.operand + 2);
  const auto group = static_cast<std::size_t>(call.integers[at.integer + 1]);
  return {size.rows,
          size.cols,
          static_cast<int>(call.integers[at.integer]),
          grids_of(size.cols, group),
          grid_shift_of(group),
          call.operand(at.operand)->as<const std::uint8_t>(),
          group == 0 ? nullptr : scale.as<const std::uint16_t>(),
          group == 0 ? scale.as<const float>() : nullptr,
          zero == nullptr ? nullptr : zero->as<const std::uint8_t>()};
}

}  // namespace lamella
