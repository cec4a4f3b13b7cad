// linear_a8 and linear_float.
#include <algorithm>

#include "base/formats.h"
#include "engine/arguments.h"
#include "engine/ops/packed.h"
#include "kernels/linear_a8/linear_a8.h"
#include "kernels/linear_float/linear_float.h"

namespace lamella {
namespace {

// What the kernels need of an input in 8 bits.
struct Rounded {
  Rounded(std::size_t tokens, std::size_t cols, std::uint8_t* scratch) : memory(scratch), input() {
    const std::size_t grids = tokens * blocks_of(cols);
    input = {tokens,
             cols,
             memory.take<std::int8_t>(tokens * token_bytes(cols)),
             memory.take<float>(grids),
             memory.take<std::int32_t>(grids),
             memory.take<std::int32_t>(grids)};
  }

  Scratch memory;
  LinearInput input;
};

// Result i of a call with several, which all multiply the same rounded inputs.
CodesAt codes_at(std::size_t i) { return {1 + 4 * i, 2 * i}; }

Status check_linear_a8(const Call& call) {
  const std::size_t results = call.written;
  Check check(call, {1 + 5 * results, results, 2 * results});
  check.require(results != 0, "it has no result").kind(0, DType::kF32);
  for (std::size_t i = 0; check.ok() && i < results; ++i) {
    const CodesAt at = codes_at(i);
    const std::size_t y = 1 + 4 * results + i;
    check_codes(check, call, at);
    if (!check.kind(y, DType::kF32).ok() || !check.same(0, y, true).ok()) break;
    const std::size_t rows = call.result(i).last();
    check.optional(at.operand + 3, DType::kF32, {rows});
    check_code_sizes(check, call, at, {rows, call.operand(0)->last()});
  }
  return check.status();
}

std::size_t scratch_linear_a8(const Call& call, std::size_t) {
  const Tensor& x = *call.operand(0);
  return Rounded(x.rows(), x.last(), nullptr).memory.used();
}

// Computes those strips of all results, counted one after the other, that are in a slice.
void run_strips(const Call& call, const Context& context, const LinearInput& input, Slice slice) {
  std::size_t first = 0;
  for (std::size_t i = 0; i < call.written; ++i) {
    const CodesAt at = codes_at(i);
    const std::size_t rows = call.result(i).last(), last = first + strips_of(rows);
    const std::size_t begin = std::max(slice.begin, first), end = std::min(slice.end, last);
    if (begin < end) {
      const LinearWeight weight = weight_of(call, at, {rows, input.cols});
      const LinearCall linear{weight, input, items_of<float>(call.operand(at.operand + 3)),
                              call.result(i).as<float>()};
      linear_a8_select(weight.bits, context.isa).run(linear, {begin - first, end - first});
    }
    first = last;
  }
}

Status run_linear_a8(const Call& call, const Context& context) {
  const Tensor& x = *call.operand(0);
  const Rounded rounded(x.rows(), x.last(), context.scratch);
  const LinearInputFn round = linear_input_select(context.isa).run;
  run_slices(context.pool, rounded.input.tokens,
             [&](Slice slice) { round(x.as<const float>(), rounded.input, slice); });
  std::size_t strips = 0;
  for (std::size_t i = 0; i < call.written; ++i) strips += strips_of(call.result(i).last());
  run_slices(context.pool, strips,
             [&](Slice slice) { run_strips(call, context, rounded.input, slice); });
  return Status::success();
}

Status check_linear_float(const Call& call) {
  Check check(call, {4, 1, 1});
  check.kind(0, DType::kF32).kind(3, DType::kF32).integer(0, 0, kActivations - 1);
  if (!check.ok() || !check.same(0, 3, true).ok()) return check.status();
  const std::size_t rows = call.result().last(), cols = call.operand(0)->last();
  const Tensor* weight = call.operand(1);
  const bool half = weight != nullptr && weight->dtype == DType::kF16;
  check.array(1, half ? DType::kF16 : DType::kF32, {strips_of(rows), cols, kStripRows});
  return check.optional(2, DType::kF32, {rows}).status();
}

Status run_linear_float(const Call& call, const Context& context) {
  const Tensor &x = *call.operand(0), &weight = *call.operand(1);
  const bool half = weight.dtype == DType::kF16;
  const FloatWeight packed{call.result().last(), x.last(),
                           half ? nullptr : weight.as<const float>(),
                           half ? weight.as<const std::uint16_t>() : nullptr, nullptr};
  const LinearFloatCall linear{packed,
                               x.rows(),
                               x.as<const float>(),
                               items_of<float>(call.operand(2)),
                               static_cast<Activation>(call.integers[0]),
                               call.result().as<float>()};
  const auto kind = half ? FloatKind::kF16 : FloatKind::kF32;
  const LinearFloatFn run = linear_float_select(kind, context.isa).run;
  run_slices(context.pool, strips_of(packed.rows), [&](Slice slice) { run(linear, slice); });
  return Status::success();
}

}  // namespace

extern const Op kOp_linear_a8 = {"linear_a8", 1, check_linear_a8, scratch_linear_a8, run_linear_a8};
extern const Op kOp_linear_float = {"linear_float", 1, check_linear_float, nullptr,
                                    run_linear_float};

}  // namespace lamella
