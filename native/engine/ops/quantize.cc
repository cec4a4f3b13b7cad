// quantize and dequantize, on one grid.
#include "kernels/quantize/quantize.h"

#include <algorithm>
#include <cmath>

#include "engine/arguments.h"

namespace lamella {
namespace {

// A grid as the kernels take it.
class OneGrid {
 public:
  explicit OneGrid(const Call& call) {
    std::fill_n(scale_, kQuantizeBlock, call.numbers[0]);
    std::fill_n(zero_, kQuantizeBlock, static_cast<float>(call.integers[0]));
  }

  Grids view() const { return {kQuantizeBlock, scale_, zero_, 0}; }

 private:
  float scale_[kQuantizeBlock];
  float zero_[kQuantizeBlock];
};

Status check_grid(const Call& call, DType from, DType to) {
  Check check(call, {2, 1, 1, 1});
  check.kind(0, from).kind(1, to).integer(0, 0, 255);
  if (!check.ok()) return check.status();
  const float scale = call.numbers[0];
  check.require(scale > 0 && std::isfinite(scale), "its scale must be positive and finite");
  return check.same(0, 1).status();
}

// Calls body(Slice) for parts of the elements that begin where kernels may begin.
template <typename Body>
void run_blocks(const Call& call, const Context& context, const Body& body) {
  const std::size_t count = call.result().count();
  const std::size_t blocks = (count + kQuantizeBlock - 1) / kQuantizeBlock;
  run_slices(context.pool, blocks, [&](Slice some) {
    body(Slice{some.begin * kQuantizeBlock, std::min(some.end * kQuantizeBlock, count)});
  });
}

Status run_quantize(const Call& call, const Context& context) {
  const OneGrid grid(call);
  const auto* x = call.operand(0)->as<const float>();
  auto* codes = call.result().as<std::uint8_t>();
  const QuantizeFn run = quantize_select(context.isa).calls->quantize;
  run_blocks(call, context, [&](Slice some) { run(grid.view(), x, codes, some); });
  return Status::success();
}

Status run_dequantize(const Call& call, const Context& context) {
  const OneGrid grid(call);
  const auto* codes = call.operand(0)->as<const std::uint8_t>();
  auto* x = call.result().as<float>();
  const DequantizeFn run = quantize_select(context.isa).calls->dequantize;
  run_blocks(call, context, [&](Slice some) { run(grid.view(), codes, x, some); });
  return Status::success();
}

}  // namespace

extern const Op kOp_quantize = {
    "quantize", 1, [](const Call& call) { return check_grid(call, DType::kF32, DType::kU8); },
    nullptr, run_quantize};
extern const Op kOp_dequantize = {
    "dequantize", 1, [](const Call& call) { return check_grid(call, DType::kU8, DType::kF32); },
    nullptr, run_dequantize};

}  // namespace lamella
