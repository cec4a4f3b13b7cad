// What the loops over positions, strips and taps share on every processor.
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/conv2d_a8/conv2d_a8.h"

namespace lamella {

// Rows that are finished together: those of two strips.
inline constexpr std::size_t kPairRows = 2 * kStripRows;

// Two tiles whose weights stand side by side: those of neighbouring strips, or one twice.
struct Tiles {
  const std::uint8_t* first;
  const std::uint8_t* last;
};

// Four input codes as one number, the first in the lowest byte.
LAMELLA_INLINE std::int32_t four_codes(const std::uint8_t* codes) {
  std::int32_t four = 0;
  __builtin_memcpy(&four, codes, sizeof four);
  return four;
}

// The first 1, 2 or 3 of them, with zeros for the others.
LAMELLA_INLINE std::int32_t first_codes(const std::uint8_t* codes, std::size_t count) {
  if (count == 1) return codes[0];
  std::uint16_t two = 0;
  __builtin_memcpy(&two, codes, sizeof two);
  return count == 2 ? two : two | std::int32_t{codes[2]} << 16;
}

// Neighbouring steps of a tap, which are read where they are; or the tails of neighbouring taps.
struct Run {
  std::size_t tap;
  std::size_t step;  // in the tap
  std::size_t steps;
  bool tails;
};

// A part of the products of a row, for which there is room at a time.
struct Segment {
  Run runs[kMostTaps + 1];
  std::size_t count;
};

// Where a segment begins. The tails of all taps come after their other steps.
struct Place {
  std::size_t tap;  // of all taps, and then of all tails
  std::size_t step;
};

// The steps of a tap are four channels each; what is left of its channels is its tail.
constexpr std::size_t whole_steps(const Conv2dSize& size) { return size.cols / 4; }
constexpr bool has_tail(const Conv2dSize& size) { return size.cols % 4 != 0; }
constexpr Place first_place(const Conv2dSize& size) {
  return {whole_steps(size) == 0 ? size.taps : 0, 0};
}
constexpr bool is_end(const Conv2dSize& size, Place place) {
  return place.tap == size.taps * (has_tail(size) ? 2 : 1);
}

// The segment of at most `most` steps, a multiple of 8, that begins at a place, which becomes its
// end. It does not divide a tile.
inline Segment next_segment(const Conv2dSize& size, std::size_t most, Place* place) {
  Segment segment;
  std::size_t room = most;
  for (segment.count = 0; !is_end(size, *place) && room > 0; ++segment.count) {
    const bool tails = place->tap >= size.taps;
    const std::size_t left = tails ? 2 * size.taps - place->tap : whole_steps(size) - place->step;
    const std::size_t steps = left <= room ? left : tails ? room : room / kSteps * kSteps;
    if (steps == 0) break;
    segment.runs[segment.count] = {place->tap % size.taps, place->step, steps, tails};
    room -= steps;
    if (tails) {
      place->tap += steps;
    } else {
      *place = steps == left ? Place{place->tap + 1, 0} : Place{place->tap, place->step + steps};
    }
  }
  return segment;
}

// The inputs of a chunk of positions, at most `stride` of them.
struct Inputs {
  const std::uint8_t* at(const Run& run, std::size_t position) const {
    if (run.tails) return tails + 4 * (position * taps + run.tap);
    return pointers[run.tap * stride + position] + 4 * run.step;
  }

  // Copies the tails of `count` positions, because four codes are read at once.
  void copy_tails(const Conv2dSize& size, std::size_t count) {
    const std::size_t whole = 4 * whole_steps(size);
    for (std::size_t tap = 0; tap < taps; ++tap) {
      for (std::size_t i = 0; i < count; ++i) {
        const std::int32_t four = first_codes(pointers[tap * stride + i] + whole, size.cols % 4);
        __builtin_memcpy(tails + 4 * (i * taps + tap), &four, sizeof four);
      }
    }
  }

  std::size_t taps;
  std::size_t stride;
  const std::uint8_t* pointers[kMostPointers];  // to a tap of a position
  std::uint8_t tails[4 * kMostPointers];        // of all taps of a position
};

}  // namespace lamella
