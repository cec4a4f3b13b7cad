// The 16 lanes of a reduction along a row, and the fixed tree that joins them.
//
// Lane i takes the elements i, i + 16, i + 32, ... in this order. The tree adds lane i + 8 to lane
// i, then i + 4, i + 2 and i + 1, so that every instruction set rounds in the same places.
#pragma once

#include <cstddef>

namespace lamella {

inline constexpr std::size_t kLanes = 16;

// Overwrites the lanes.
inline float tree_sum(float (&lanes)[kLanes]) {
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// Overwrites the lanes.
inline float tree_max(float (&lanes)[kLanes]) {
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) {
      lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
    }
  }
  return lanes[0];
}

}  // namespace lamella
