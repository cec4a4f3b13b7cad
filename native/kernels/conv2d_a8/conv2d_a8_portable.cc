// conv2d_a8 for any processor: the reference of the other kernels.
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/conv2d_a8/tiles.h"
#include "kernels/math/shift.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"
#include "kernels/static/lanes_portable.h"
// What follows is the same for every Value.
#include "kernels/static/epilogue_vector.h"

constexpr std::size_t kPositions = 1;
constexpr std::size_t kStrips = 1;
constexpr std::size_t kVectors = 1;
constexpr int kLowered = 0;

template <int kBits>
int weight_at(const std::uint8_t* tile, std::size_t row, std::size_t col) {
  unsigned code = 0;
  visit_code(kBits, row, col, [&](std::size_t byte, int shift, int from, int width) {
    code |= (tile[byte] >> shift & ((1u << width) - 1)) << from;
  });
  return static_cast<int>(code) - (1 << (kBits - 1));
}

struct Weights {
  std::int8_t of[kVectorBytes];
};

template <int kBits, std::size_t kStep>
Weights step_weights(Tiles tiles) {
  Weights weights;
  for (std::size_t i = 0; i < kVectorBytes; ++i) {
    const int weight = weight_at<kBits>(tiles.first, i / 4, 4 * kStep + i % 4);
    weights.of[i] = static_cast<std::int8_t>(weight);
  }
  return weights;
}

Weights load_weights(const std::uint8_t* from) {
  Weights weights;
  std::memcpy(&weights, from, sizeof weights);
  return weights;
}

void store_weights(const Weights& weights, std::uint8_t* to) {
  std::memcpy(to, &weights, sizeof weights);
}

#include "kernels/conv2d_a8/tiles.inc"

template <int kBits, std::size_t kUsed, typename Places>
struct Sums {
  Sums(bool more, std::int32_t* to) : sums(to) {
    if (!more) std::fill_n(sums, kStripRows, 0);
  }

  void add(const std::uint8_t* panel, const std::uint8_t* const* inputs, std::size_t steps) {
    for (std::size_t step = 0; step < steps; ++step, panel += kStepBytes) {
      add_step(inputs[0] + 4 * step, load_weights(panel));
    }
  }

  void add_step(const std::uint8_t* codes, const Weights& weights) {
    for (std::size_t i = 0; i < kVectorBytes; ++i) sums[i / 4] += weights.of[i] * codes[i % 4];
  }

  void write() const {}

  std::int32_t* sums;
};

}  // namespace

void conv2d_w4a8_portable(const Conv2dCall& call, Slice positions, Slice strips) {
  run<4>(call, positions, strips);
}
void conv2d_w6a8_portable(const Conv2dCall& call, Slice positions, Slice strips) {
  run<6>(call, positions, strips);
}
void conv2d_w8a8_portable(const Conv2dCall& call, Slice positions, Slice strips) {
  run<8>(call, positions, strips);
}

}  // namespace lamella
