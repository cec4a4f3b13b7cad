// The places of the input that the outputs of a convolution read, as pointers: an indirect product
// needs no copy of the input in another order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/threads.h"
#include "kernels/window/window.h"

namespace lamella {

// A kernel of a convolution has at most kMostTaps taps, so that 24 positions have their pointers,
// and with 7 x 7 taps 64.
inline constexpr std::size_t kMostPointers = 3200;
inline constexpr std::size_t kMostTaps = 128;

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

// An output: its image, and its row and column in it.
struct OutputPlace {
  std::size_t image;
  std::size_t row;
  std::size_t col;
};

// Fills to[tap * chunk + i] for `count` neighbouring outputs of a row. Places before the input wrap
// around to sizes that are too large.
inline void point_line(const Window& window, const Source& source, const OutputPlace& place,
                       std::size_t count, std::size_t chunk, const std::uint8_t** to) {
  const std::size_t first = place.col * window.x.stride - window.x.before;
  std::size_t row = place.row * window.y.stride - window.y.before;
  for (std::size_t ky = 0; ky < window.y.kernel; ++ky, row += window.y.dilation) {
    // No column is below an end of 0.
    const std::size_t end = row < window.y.in ? window.x.in : 0;
    const std::size_t line = (place.image * window.y.in + row) * window.x.in;
    for (std::size_t kx = 0; kx < window.x.kernel; ++kx, to += chunk) {
      std::size_t col = first + kx * window.x.dilation;
      std::size_t offset = (line + col) * source.channels;
      for (std::size_t i = 0; i < count; ++i) {
        to[i] = col < end ? source.x + offset : source.zeros;
        col += window.x.stride;
        offset += window.x.stride * source.channels;
      }
    }
  }
}

// Fills pointers[tap * chunk + i] for the positions of a slice, in the order of the output; those
// after the last, up to the next multiple of `together`, repeat it.
inline void point(const Window& window, const Source& source, Slice positions, std::size_t chunk,
                  const std::uint8_t** pointers, std::size_t together = 8) {
  const std::size_t count = positions.end - positions.begin;
  const std::size_t line = positions.begin / window.x.out;
  OutputPlace place{line / window.y.out, line % window.y.out, positions.begin % window.x.out};
  const bool plain = is_plain(window);
  for (std::size_t i = 0; plain && i < count; ++i) {
    pointers[i] = source.x + (positions.begin + i) * source.channels;
  }
  for (std::size_t i = 0; !plain && i < count;) {
    const std::size_t some = std::min(count - i, window.x.out - place.col);
    point_line(window, source, place, some, chunk, pointers + i);
    i += some;
    place.col = 0;
    if (++place.row < window.y.out) continue;
    place.row = 0;
    ++place.image;
  }
  for (std::size_t i = count; i % together != 0; ++i) {
    for (std::size_t tap = 0; tap < window.taps(); ++tap) {
      pointers[tap * chunk + i] = pointers[tap * chunk + i - 1];
    }
  }
}

}  // namespace lamella
