// peak: multiplications and additions of numbers that stay in registers, and nothing else. What a
// processor can do at most, in one of the ways in which kernels multiply, for the benchmark.
//
// To add a kernel, write peak_<isa>.cc and a row of kernels.inc for each kind of numbers. Dispatch,
// binding, tests and benchmark all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"

namespace lamella {

// Products of a round. Every kernel has as many sums as keep its processor busy and 768 products
// are whole turns of all of them.
inline constexpr std::size_t kRoundProducts = 768;

// Both at least 0.
struct PeakOperands {
  int weight;  // at most 15 where bits is 4, 127 where it is 8
  int input;   // at most 127
};

// The sum of rounds * kRoundProducts times weight * input, modulo 2^32. With 4 or 8 bits, codes of
// weights and of inputs are bytes and sums have 32 bits; with 32, everything is float32.
// Requires: rounds * weight * input <= 2^18 where bits is 32, so that every sum is exact.
using PeakFn = std::uint32_t (*)(std::size_t rounds, PeakOperands operands);

struct PeakKernel : Kernel {
  int bits;  // 4, 8 or 32
  PeakFn run;
};

Span<PeakKernel> peak_kernels();
const PeakKernel& peak_select(int bits, IsaSet host);

#define LAMELLA_KERNEL(name, bits, needs) \
  std::uint32_t name(std::size_t rounds, PeakOperands operands);
#include "kernels/peak/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
