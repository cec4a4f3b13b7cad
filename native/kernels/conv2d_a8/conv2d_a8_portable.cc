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
constexpr std::size_t kMostVectors = 1;
constexpr int kLowered = 0;

template <int kBits>
std::int32_t weight_at(const std::uint8_t* tile, std::size_t row, std::size_t col) {
  unsigned code = 0;
  visit_code(kBits, row, col, [&](std::size_t byte, int shift, int from, int width) {
    code |= (tile[byte] >> shift & ((1u << width) - 1)) << from;
  });
  return static_cast<std::int32_t>(code) - (1 << (kBits - 1));
}

template <int kBits, std::size_t kVectors, typename Places>
struct Sums {
  template <bool kWhole>
  void add(Tiles tiles, const std::uint8_t* const* inputs, std::size_t col, std::size_t left) {
    for (std::size_t i = 0; i < left; ++i) {
      const std::int32_t code = inputs[0][col + i];
      for (std::size_t row = 0; row < kStripRows; ++row) {
        sums[row] += weight_at<kBits>(tiles.first, row, i) * code;
      }
    }
  }

  void store(std::int32_t* to) const { std::copy_n(sums, kStripRows, to); }

  std::int32_t sums[kStripRows] = {};
};

#include "kernels/conv2d_a8/tiles.inc"

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
