// conv2d_a8 and depthwise_a8: layers on static codes, on images (images, height, width, channels).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/arguments.h"
#include "engine/ops/window.h"
#include "kernels/conv2d_a8/conv2d_a8.h"
#include "kernels/depthwise_a8/depthwise_a8.h"

namespace lamella {
namespace {

// Positions that threads may split: as many as the kernels compute at once.
constexpr std::size_t kPositionBlock = 8;

// The operands in their order.
enum At : std::size_t { kX, kCodes, kOffset, kSum, kStep, kBias, kResidual, kOut };

// What follows the window among the integers, and the numbers.
enum Integer : std::size_t { kInputZero, kZero, kResidualZero, kActivation, kIntegers };
enum Number : std::size_t { kLow, kHigh, kResidualStep, kUnit, kNumbers };

// Checks all but the weight, whose epilogue has `stored` rows; `first` is the number of the
// integer after the window.
void check_static(Check& check, const Call& call, std::size_t stored, std::size_t first) {
  for (const std::size_t at : {kOffset, kSum}) check.array(at, DType::kI32, {stored});
  for (const std::size_t at : {kStep, kBias}) check.array(at, DType::kF32, {stored});
  for (const std::size_t i : {kInputZero, kZero, kResidualZero}) check.integer(first + i, 0, 255);
  check.integer(first + kActivation, 0, kActivations - 1);
  if (!check.ok()) return;
  bool finite = true;
  for (const float number : call.numbers) finite = finite && !std::isnan(number);
  check.require(finite && call.numbers[kLow] <= call.numbers[kHigh],
                "its numbers are out of order");
  if (call.operand(kResidual) == nullptr) return;
  check.kind(kResidual, DType::kU8);
  if (check.ok()) check.same(kResidual, kOut);
}

void check_ends(Check& check, const Call& call) {
  if (!check.ok()) return;
  const bool codes = call.result().dtype == DType::kU8;
  check.kind(kX, DType::kU8).kind(kOut, codes ? DType::kU8 : DType::kF32);
}

// Codes have bounds within their range, so that none wraps around.
void check_range(Check& check, const Call& call, std::size_t first) {
  if (!check.ok() || call.result().dtype == DType::kF32) return;
  const auto zero = static_cast<float>(call.integers[first + kZero]);
  check.require(call.numbers[kLow] >= -zero && call.numbers[kHigh] <= 255 - zero,
                "its bounds lie outside the codes");
}

Epilogue epilogue_of(const Call& call, std::size_t first) {
  const auto integer = [&](std::size_t i) {
    return static_cast<std::int32_t>(call.integers[first + i]);
  };
  return {call.operand(kOffset)->as<const std::int32_t>(),
          call.operand(kSum)->as<const std::int32_t>(),
          call.operand(kStep)->as<const float>(),
          call.operand(kBias)->as<const float>(),
          call.numbers[kLow],
          call.numbers[kHigh],
          call.result().dtype == DType::kU8,
          integer(kZero),
          call.numbers[kResidualStep],
          integer(kResidualZero),
          static_cast<Activation>(integer(kActivation)),
          call.numbers[kUnit]};
}

// The input with a pixel of its zero point, which is written into the scratch.
Source source_of(const Call& call, const Context& context, std::size_t first) {
  const Tensor& x = *call.operand(kX);
  std::memset(context.scratch, static_cast<int>(call.integers[first + kInputZero]), x.last());
  return {x.as<const std::uint8_t>(), context.scratch, x.last()};
}

Finished finished_of(const Call& call) {
  return {items_of<std::uint8_t>(call.operand(kResidual)), call.result().data};
}

std::size_t scratch_pixel(const Call& call, std::size_t) { return call.operand(kX)->last(); }

constexpr std::size_t kConvWindow = 3, kConvTail = kConvWindow + kWindowIntegers;

Conv2dSize size_of(const Call& call) {
  const auto groups = static_cast<std::size_t>(call.integers[1]);
  return {groups, static_cast<std::size_t>(call.integers[0]) / groups,
          window_of(call, kConvWindow).taps(), call.operand(kX)->last() / groups,
          static_cast<int>(call.integers[2])};
}

Status check_conv2d(const Call& call) {
  Check check(call, {8, 1, kConvTail + kIntegers, kNumbers});
  check_ends(check, call);
  check.integer(0, 1, INT32_MAX).integer(1, 1, INT32_MAX);
  check_window(check, call, kConvWindow);
  if (!check.ok()) return check.status();
  const std::int64_t rows = call.integers[0], groups = call.integers[1], bits = call.integers[2];
  check.require(bits == 4 || bits == 6 || bits == 8, "it has no kernel for its bits");
  check.require(static_cast<std::size_t>(rows) == call.result().last(), "its rows differ");
  check.require(rows % groups == 0 && call.operand(kX)->last() % groups == 0,
                "its channels make no such groups");
  const Window window = window_of(call, kConvWindow);
  check.require(window.taps() - 1 < kMostTaps, "its kernel has no taps, or too many");
  if (!check.ok()) return check.status();
  const Conv2dSize size = size_of(call);
  check.require(size.cols <= INT32_MAX / 255 / size.taps >> (bits - 1),
                "its sums may not fit 32 bits");
  check.array(kCodes, DType::kU8,
              {size.strips(), size.taps, blocks_of(size.cols), tile_bytes(size.bits)});
  check_static(check, call, size.epilogue_rows(), kConvTail);
  check_range(check, call, kConvTail);
  return check.status();
}

Status run_conv2d(const Call& call, const Context& context) {
  const Conv2dWeight weight{size_of(call), call.operand(kCodes)->as<const std::uint8_t>()};
  const Window window = window_of(call, kConvWindow);
  const Epilogue epilogue = epilogue_of(call, kConvTail);
  const Conv2dCall conv{weight, window, epilogue, source_of(call, context, kConvTail),
                        finished_of(call)};
  const Conv2dFn run = conv2d_a8_select(weight.size.bits, context.isa).run;
  const std::size_t positions = window.positions(), strips = weight.size.strips();
  const std::size_t blocks = (positions + kPositionBlock - 1) / kPositionBlock;
  if (blocks < context.threads()) {
    run_slices(context.pool, strips, [&](Slice some) { run(conv, {0, positions}, some); });
    return Status::success();
  }
  run_slices(context.pool, blocks, [&](Slice some) {
    const std::size_t end = std::min(some.end * kPositionBlock, positions);
    run(conv, {some.begin * kPositionBlock, end}, {0, strips});
  });
  return Status::success();
}

Status check_depthwise(const Call& call) {
  Check check(call, {8, 1, kWindowIntegers + kIntegers, kNumbers});
  check_ends(check, call);
  check_window(check, call, 0);
  if (!check.ok()) return check.status();
  const std::size_t taps = window_of(call, 0).taps();
  check.require(taps - 1 < kMostTaps, "its kernel has no taps, or too many");
  check.require(call.operand(kX)->last() == call.result().last(), "its channels differ");
  const DepthwiseSize size{call.result().last(), taps};
  check.array(kCodes, DType::kI8, {size.pairs(), size.stored_channels(), 2});
  check_static(check, call, size.stored_channels(), kWindowIntegers);
  check_range(check, call, kWindowIntegers);
  return check.status();
}

Status run_depthwise(const Call& call, const Context& context) {
  const Window window = window_of(call, 0);
  const DepthwiseWeight weight{{call.result().last(), window.taps()},
                               call.operand(kCodes)->as<const std::int8_t>()};
  const Epilogue epilogue = epilogue_of(call, kWindowIntegers);
  const DepthwiseCall conv{weight, window, epilogue, source_of(call, context, kWindowIntegers),
                           finished_of(call)};
  const DepthwiseFn run = depthwise_a8_select(context.isa).run;
  run_slices(context.pool, window.positions(), [&](Slice some) { run(conv, some); });
  return Status::success();
}

}  // namespace

extern const Op kOp_conv2d_a8 = {"conv2d_a8", 1, check_conv2d, scratch_pixel, run_conv2d};
extern const Op kOp_depthwise_a8 = {"depthwise_a8", 1, check_depthwise, scratch_pixel,
                                    run_depthwise};

}  // namespace lamella
