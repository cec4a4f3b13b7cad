// conv2d_f32, depthwise_f32 and pool2d, on images (images, height, width, channels).
#include <cmath>

#include "engine/arguments.h"
#include "engine/ops/window.h"
#include "kernels/conv2d_f32/conv2d_f32.h"
#include "kernels/depthwise_f32/depthwise_f32.h"
#include "kernels/pool2d/pool2d.h"

namespace lamella {
namespace {

void check_bounds(Check& check, const Call& call) {
  if (!check.ok()) return;
  check.require(call.numbers[0] <= call.numbers[1], "its low bound is above the high one");
}

Status check_conv2d(const Call& call) {
  Check check(call, {4, 1, 1 + kWindowIntegers, 2});
  check.kind(0, DType::kF32).kind(3, DType::kF32).integer(0, 1, INT32_MAX);
  check_window(check, call, 1);
  check_bounds(check, call);
  if (!check.ok()) return check.status();
  const auto groups = static_cast<std::size_t>(call.integers[0]);
  const std::size_t inputs = call.operand(0)->last(), outputs = call.result().last();
  check.require(inputs % groups == 0 && outputs % groups == 0, "its channels make no such groups");
  const Window window = window_of(call, 1);
  check.array(1, DType::kF32,
              {groups, strips_of(outputs / groups), window.y.kernel, window.x.kernel,
               inputs / groups, kStripRows});
  return check.optional(2, DType::kF32, {outputs}).status();
}

Status run_conv2d(const Call& call, const Context& context) {
  const Conv2dF32Call conv{window_of(call, 1),
                           static_cast<std::size_t>(call.integers[0]),
                           call.operand(0)->last(),
                           call.result().last(),
                           call.operand(0)->as<const float>(),
                           call.operand(1)->as<const float>(),
                           items_of<float>(call.operand(2)),
                           call.numbers[0],
                           call.numbers[1],
                           call.result().as<float>()};
  const Conv2dF32Fn run = conv2d_f32_select(context.isa).run;
  run_slices(context.pool, conv.window.rows(), [&](Slice rows) { run(conv, rows); });
  return Status::success();
}

Status check_depthwise(const Call& call) {
  Check check(call, {4, 1, kWindowIntegers, 2});
  check.kind(0, DType::kF32).kind(3, DType::kF32);
  check_window(check, call, 0);
  check_bounds(check, call);
  if (!check.ok()) return check.status();
  const std::size_t channels = call.result().last();
  const Window window = window_of(call, 0);
  check.require(call.operand(0)->last() == channels, "its channels differ");
  check.array(1, DType::kF32, {window.y.kernel, window.x.kernel, channels});
  return check.optional(2, DType::kF32, {channels}).status();
}

Status run_depthwise(const Call& call, const Context& context) {
  const DepthwiseF32Call conv{window_of(call, 0),
                              call.result().last(),
                              call.operand(0)->as<const float>(),
                              call.operand(1)->as<const float>(),
                              items_of<float>(call.operand(2)),
                              call.numbers[0],
                              call.numbers[1],
                              call.result().as<float>()};
  const DepthwiseF32Fn run = depthwise_f32_select(context.isa).run;
  run_slices(context.pool, conv.window.rows(), [&](Slice rows) { run(conv, rows); });
  return Status::success();
}

bool has_taps(const WindowAxis& axis) {
  for (std::size_t at = 0; at < axis.out; ++at) {
    const Slice taps = axis.taps(at);
    if (taps.begin >= taps.end) return false;
  }
  return true;
}

Status check_pool(const Call& call) {
  Check check(call, {2, 1, 1 + kWindowIntegers});
  check.kind(0, DType::kF32).kind(1, DType::kF32).integer(0, 0, 2);
  check_window(check, call, 1);
  if (!check.ok()) return check.status();
  const Window window = window_of(call, 1);
  check.require(call.operand(0)->last() == call.result().last(), "its channels differ");
  check.require(has_taps(window.y) && has_taps(window.x), "a window lies in the padding alone");
  return check.status();
}

Status run_pool(const Call& call, const Context& context) {
  const PoolCall pool{window_of(call, 1), static_cast<Pool>(call.integers[0]), call.result().last(),
                      call.operand(0)->as<const float>(), call.result().as<float>()};
  const PoolFn run = pool2d_select(context.isa).run;
  run_slices(context.pool, pool.window.rows(), [&](Slice rows) { run(pool, rows); });
  return Status::success();
}

}  // namespace

extern const Op kOp_conv2d_f32 = {"conv2d_f32", 1, check_conv2d, nullptr, run_conv2d};
extern const Op kOp_depthwise_f32 = {"depthwise_f32", 1, check_depthwise, nullptr, run_depthwise};
extern const Op kOp_pool2d = {"pool2d", 1, check_pool, nullptr, run_pool};

}  // namespace lamella
