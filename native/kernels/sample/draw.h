// What every kernel of sample shares: all but argmax and the powers, in exact integers.
#pragma once

#include "kernels/sample/sample.h"

namespace lamella {

// Writes exp((logits[i] - top) / temperature) for `count` logits.
using PowersFn = void (*)(std::size_t count, const float* logits, float top, float temperature,
                          float* powers);

// sample with the two passes over the logits that depend on the instruction set.
std::int32_t draw(const SampleCall& call, SampleScratch scratch, ArgmaxFn argmax, PowersFn powers);

}  // namespace lamella
