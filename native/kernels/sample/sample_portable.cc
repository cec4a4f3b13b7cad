// sample for any processor: the reference of the other kernels.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/sample/draw.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"
// What follows is the same for every Value.
#include "kernels/math/functions.h"

void powers(std::size_t count, const float* logits, float top, float temperature, float* to) {
  for (std::size_t i = 0; i < count; ++i) to[i] = exp((logits[i] - top) / temperature);
}

std::int32_t argmax(std::size_t count, const float* logits) {
  float greatest = -std::numeric_limits<float>::infinity();
  std::int32_t id = -1;
  for (std::size_t i = 0; i < count; ++i) {
    // Neither NaN nor infinity passes.
    if (!(logits[i] <= std::numeric_limits<float>::max())) return -1;
    if (logits[i] > greatest) {
      greatest = logits[i];
      id = static_cast<std::int32_t>(i);
    }
  }
  return id;
}

std::int32_t sample(const SampleCall& call, SampleScratch scratch) {
  return draw(call, scratch, &argmax, &powers);
}

}  // namespace

const SampleCalls sample_portable = {&argmax, &sample};

}  // namespace lamella
