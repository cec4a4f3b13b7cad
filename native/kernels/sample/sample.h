// sample: draws a token from logits, seeded, by temperature, top_k and top_p; and argmax.
//
// argmax is the lowest id of the greatest logit. sample with temperature 0 is argmax; otherwise:
//   weight[i] = floor(2^40 * exp((logit[i] - greatest) / temperature)), the operations inside in
//     float32, with the exp of math/functions.h; sums of weights are exact integers
//   order: by logit from the greatest, equal ones by id
//   top_k, if not 0, keeps the first top_k tokens of the order
//   top_p below 1 then keeps, in order, each token before which the kept weights sum up to less
//     than floor(top_p * total), in float64, and at least one; total is the sum that top_k left
//   random = splitmix64 of the state seed + (step + 1) * 0x9e3779b97f4a7c15, modulo 2^64
//   target = floor(random * sum / 2^64), with sum that of the kept weights
//   The token is the first, by id, at which the running sum of kept weights exceeds target.
// splitmix64 is Vigna's: z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9, z = (z ^ z >> 27) *
// 0x94d049bb133111eb, z ^ z >> 31. So step n of a seed needs no other step.
//
// Where no token can be chosen the result is -1: a logit is NaN or +inf, or none is finite.
//
// To add a kernel, write sample_<isa>.cc and one row of kernels.inc. Dispatch, binding and tests
// all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"

namespace lamella {

inline constexpr std::size_t kMostTokens = std::size_t{1} << 23;

struct Sampling {
  float temperature;    // finite, 0 or more
  std::uint64_t top_k;  // 0 for all
  double top_p;         // above 0, up to 1
  std::uint64_t seed;
  std::uint64_t step;
};

// Shape: logits (count) float32, count at most kMostTokens.
struct SampleCall {
  std::size_t count;
  const float* logits;
  Sampling sampling;
};

// Overwritten. Shapes: powers and keys (count).
struct SampleScratch {
  float* powers;
  std::uint64_t* keys;
};

using ArgmaxFn = std::int32_t (*)(std::size_t count, const float* logits);
using SampleFn = std::int32_t (*)(const SampleCall& call, SampleScratch scratch);

struct SampleCalls {
  ArgmaxFn argmax;
  SampleFn sample;
};

struct SampleKernel : Kernel {
  const SampleCalls* calls;
};

Span<SampleKernel> sample_kernels();
const SampleKernel& sample_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) extern const SampleCalls name;
#include "kernels/sample/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
