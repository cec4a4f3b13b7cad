// What the loops over positions, strips and taps share on every processor.
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/conv2d_a8/conv2d_a8.h"

namespace lamella {

// Rows that are finished together: those of two strips.
inline constexpr std::size_t kPairRows = 2 * kStripRows;

// Two tiles that are multiplied with the same input: those of neighbouring strips, or one twice.
// Where there are four, `distance` is how far the others are from these.
struct Tiles {
  const std::uint8_t* first;
  const std::uint8_t* last;
  std::size_t distance;

  LAMELLA_INLINE Tiles others() const { return {first + distance, last + distance, 0}; }
};

// Four input codes as one number, the first in the lowest byte. `left` counts those that exist
// where not all do; the others are 0, and so are their weights.
template <bool kAll>
LAMELLA_INLINE std::int32_t four_codes(const std::uint8_t* codes, std::size_t left) {
  if constexpr (kAll) {
    std::int32_t four = 0;
    __builtin_memcpy(&four, codes, sizeof four);
    return four;
  }
  if (left == 1) return codes[0];
  std::uint16_t two = 0;
  __builtin_memcpy(&two, codes, sizeof two);
  return left == 2 ? two : two | std::int32_t{codes[2]} << 16;
}

// Fewer channels than this are copied, so that loops read as many at once.
inline constexpr std::size_t kFewCodes = 4;

// Lets the pointers of a chunk of `count` positions point to copies of what they point to.
inline void copy_few(const Conv2dSize& size, std::size_t count, const std::uint8_t** pointers,
                     std::uint8_t* copies) {
  const std::size_t chunk = chunk_of(size.taps);
  const std::size_t end = (count + 7) / 8 * 8;
  for (std::size_t tap = 0; tap < size.taps; ++tap, pointers += chunk) {
    for (std::size_t i = 0; i < end; ++i, copies += kFewCodes) {
      const std::int32_t four = four_codes<false>(pointers[i], size.cols);
      __builtin_memcpy(copies, &four, sizeof four);
      pointers[i] = copies;
    }
  }
}

}  // namespace lamella
