// The places of the input that the outputs of a convolution read, as pointers: an indirect product
// needs no copy of the input in another order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/threads.h"
#include "kernels/window/window.h"

namespace lamella {

// A kernel of a convolution has at most kMostTaps taps, so that 8 positions have their pointers.
inline constexpr std::size_t kMostPointers = 1024;
inline constexpr std::size_t kMostTaps = kMostPointers / 8;

// Positions whose pointers are kept at a time, a multiple of 8.
constexpr std::size_t chunk_of(std::size_t taps) {
  const std::size_t most = kMostPointers / taps / 8 * 8;
  return most < 64 ? most : 64;
}

// Where the places of a window point.
struct Source {
  const std::uint8_t* x;      // the input, at the first channel that is read
  const std::uint8_t* zeros;  // what places outside the input read
  std::size_t channels;       // of a pixel, all groups together
};

// Fills pointers[tap * chunk + i] for the positions of a slice, in the order of the output; those
// after the last, up to the next multiple of 8, repeat it.
inline void point(const Window& window, const Source& source, Slice positions, std::size_t chunk,
                  const std::uint8_t** pointers) {
  const std::size_t count = positions.end - positions.begin;
  for (std::size_t i = 0; i < (count + 7) / 8 * 8; ++i) {
    const std::size_t position = positions.begin + (i < count ? i : count - 1);
    const std::size_t line = position / window.x.out;
    const std::size_t image = line / window.y.out;
    // Places before the input wrap around to sizes that are too large.
    const std::size_t y = line % window.y.out * window.y.stride - window.y.before;
    const std::size_t x = position % window.x.out * window.x.stride - window.x.before;
    const std::uint8_t** to = pointers + i;
    for (std::size_t ky = 0; ky < window.y.kernel; ++ky) {
      const std::size_t row = y + ky * window.y.dilation;
      const std::size_t pixel = (image * window.y.in + row) * window.x.in;
      for (std::size_t kx = 0; kx < window.x.kernel; ++kx, to += chunk) {
        const std::size_t col = x + kx * window.x.dilation;
        const bool inside = row < window.y.in && col < window.x.in;
        *to = inside ? source.x + (pixel + col) * source.channels : source.zeros;
      }
    }
  }
}

}  // namespace lamella
