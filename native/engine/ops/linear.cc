// linear_a8 and linear_float.
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

Status check_linear_a8(const Call& call) {
  Check check(call, {6, 1, 2});
  check_codes(check, call, {1, 0});
  if (!check.ok()) return check.status();
  const std::size_t rows = call.result().last();
  check.kind(0, DType::kF32).kind(5, DType::kF32).optional(4, DType::kF32, {rows});
  if (check.ok()) check.same(0, 5, true);
  if (check.ok()) check_code_sizes(check, call, {1, 0}, {rows, call.operand(0)->last()});
  return check.status();
}

std::size_t scratch_linear_a8(const Call& call, std::size_t) {
  const Tensor& x = *call.operand(0);
  return Rounded(x.rows(), x.last(), nullptr).memory.used();
}

Status run_linear_a8(const Call& call, const Context& context) {
  const Tensor& x = *call.operand(0);
  const LinearWeight weight = weight_of(call, {1, 0}, {call.result().last(), x.last()});
  const Rounded rounded(x.rows(), x.last(), context.scratch);
  const LinearInputFn round = linear_input_select(context.isa).run;
  run_slices(context.pool, rounded.input.tokens,
             [&](Slice slice) { round(x.as<const float>(), rounded.input, slice); });
  const LinearFn run = linear_a8_select(weight.bits, context.isa).run;
  const LinearCall linear{weight, rounded.input, items_of<float>(call.operand(4)),
                          call.result().as<float>()};
  run_slices(context.pool, strips_of(weight.rows), [&](Slice slice) { run(linear, slice); });
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
