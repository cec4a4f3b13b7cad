// The window that a convolution or a pool moves over an image.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/threads.h"

namespace lamella {

// One axis: output `at` has the taps 0 to kernel - 1, of which tap t lies at the input
// at * stride + t * dilation - before.
struct WindowAxis {
  std::size_t in;
  std::size_t out;
  std::size_t kernel;
  std::size_t stride;
  std::size_t dilation;
  std::size_t before;  // padding before the first input

  // Where tap t of an output lies; it must be inside.
  constexpr std::size_t input(std::size_t at, std::size_t tap) const {
    return at * stride + tap * dilation - before;
  }

  // The taps that lie inside the input.
  constexpr Slice taps(std::size_t at) const {
    const std::size_t start = at * stride;
    const std::size_t missing = before > start ? before - start : 0;
    const std::size_t first = missing / dilation + (missing % dilation != 0);
    const std::size_t end = in + before;
    const std::size_t last = end > start ? (end - start - 1) / dilation + 1 : 0;
    return {std::min(first, kernel), std::max(std::min(first, kernel), std::min(last, kernel))};
  }

  // The outputs for which a tap lies inside the input.
  constexpr Slice outputs(std::size_t tap) const {
    const std::size_t at = tap * dilation;
    const std::size_t first = before > at ? (before - at + stride - 1) / stride : 0;
    const std::size_t last = in + before > at ? (in + before - at - 1) / stride + 1 : 0;
    return {std::min(first, out), std::max(std::min(first, out), std::min(last, out))};
  }
};

// Arrays are (images, y.in, x.in, channels) and (images, y.out, x.out, outputs).
struct Window {
  std::size_t images;
  WindowAxis y;
  WindowAxis x;

  constexpr std::size_t taps() const { return y.kernel * x.kernel; }
  // Pixels of the output.
  constexpr std::size_t positions() const { return images * y.out * x.out; }
  // Rows of the output, the unit in which a call may be split between threads.
  constexpr std::size_t rows() const { return images * y.out; }
};

constexpr bool same(Slice a, Slice b) { return a.begin == b.begin && a.end == b.end; }

constexpr Slice common(Slice a, Slice b) {
  const std::size_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

// Whether output i reads pixel i of the input, and no other.
constexpr bool is_plain(const WindowAxis& axis) {
  return axis.kernel == 1 && axis.stride == 1 && axis.before == 0 && axis.in == axis.out;
}

constexpr bool is_plain(const Window& window) { return is_plain(window.y) && is_plain(window.x); }

// Calls visit(first, taps, count) for each run of neighbouring outputs of a part of an axis that
// have the same taps.
template <typename Visit>
void for_each_span(const WindowAxis& axis, Slice part, const Visit& visit) {
  // Those that have all taps are one run.
  const Slice whole = common(axis.outputs(0), axis.outputs(axis.kernel - 1));
  for (std::size_t first = part.begin, count = 0; first < part.end; first += count) {
    const Slice taps = axis.taps(first);
    count = 1;
    if (first >= whole.begin && first < whole.end) count = std::min(whole.end, part.end) - first;
    while (first + count < part.end && same(axis.taps(first + count), taps)) ++count;
    visit(first, taps, count);
  }
}

template <typename Visit>
void for_each_span(const WindowAxis& axis, const Visit& visit) {
  for_each_span(axis, {0, axis.out}, visit);
}

}  // namespace lamella
