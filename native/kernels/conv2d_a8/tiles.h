// What the loops over positions, strips and taps share on every processor.
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/conv2d_a8/conv2d_a8.h"

namespace lamella {

// Two tiles that are multiplied with the same input: those of neighbouring strips, or one twice.
struct Tiles {
  const std::uint8_t* first;
  const std::uint8_t* last;
};

// Four input codes as one number, the first in the lowest byte. `left` counts those that exist;
// the others are 0, and so are their weights.
template <bool kWhole>
LAMELLA_INLINE std::int32_t four_codes(const std::uint8_t* codes, std::size_t left) {
  std::int32_t four = 0;
  if (kWhole || left >= 4) {
    __builtin_memcpy(&four, codes, sizeof four);
    return four;
  }
  for (std::size_t i = 0; i < left; ++i) four |= std::int32_t{codes[i]} << (8 * i);
  return four;
}

}  // namespace lamella
