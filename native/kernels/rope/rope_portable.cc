// rope for any processor: the reference of the other kernels.
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/rope/rope.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"

void rotate(std::size_t half, const float* x, const float* cosine, const float* sine, float* y) {
  for (std::size_t i = 0; i < half; ++i) {
    const float first = x[i];
    const float second = x[half + i];
    store(y + i, fused_minus(second, sine[i], first * cosine[i]));
    store(y + half + i, fused(first, sine[i], second * cosine[i]));
  }
}

}  // namespace

void rope_portable(RopeShape shape, const float* x, RopeTables tables, float* y) {
  for (std::size_t token = 0; token < shape.tokens; ++token) {
    const std::size_t angles = static_cast<std::size_t>(tables.position[token]) * shape.half;
    for (std::size_t head = 0; head < shape.heads; ++head) {
      rotate(shape.half, x, tables.cosine + angles, tables.sine + angles, y);
      x += 2 * shape.half;
      y += 2 * shape.half;
    }
  }
}

}  // namespace lamella
