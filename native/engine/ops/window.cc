#include "engine/ops/window.h"

namespace lamella {
namespace {

// Products of numbers up to this with the sizes of an image fit 64 bits.
constexpr std::int64_t kMost = 65535;

// Axis 0 is the height and 1 the width. A kernel of 0 is as large as the image.
WindowAxis axis_of(const Call& call, std::size_t first, std::size_t axis) {
  const auto number = [&](std::size_t i) {
    return static_cast<std::size_t>(call.integers[first + i + axis]);
  };
  const std::size_t in = call.operand(0)->sizes[1 + axis];
  const std::size_t kernel = number(0) == 0 ? in : number(0);
  const std::size_t stride = number(2), dilation = number(4), before = number(6);
  const std::size_t padded = in + before + number(8);
  const std::size_t span = kernel == 0 ? 1 : (kernel - 1) * dilation + 1;
  const std::size_t out = span > padded ? 0 : (padded - span) / stride + 1;
  return {in, out, kernel, stride, dilation, before};
}

}  // namespace

void check_window(Check& check, const Call& call, std::size_t first) {
  if (!check.ok()) return;
  for (std::size_t i = 0; i < kWindowIntegers; ++i) {
    check.integer(first + i, i == 2 || i == 3 || i == 4 || i == 5 ? 1 : 0, kMost);
  }
  const Tensor &x = *call.operand(0), &y = call.result();
  check.require(x.rank == 4 && y.rank == 4, "its arrays are no images");
  if (!check.ok()) return;
  const Window window = window_of(call, first);
  check.require(
      y.sizes[0] == x.sizes[0] && y.sizes[1] == window.y.out && y.sizes[2] == window.x.out,
      "its window does not give an image of the size of the result");
}

Window window_of(const Call& call, std::size_t first) {
  return {call.operand(0)->sizes[0], axis_of(call, first, 0), axis_of(call, first, 1)};
}

}  // namespace lamella
