// pool2d with AVX2: pool2d_values.h on the registers of this instruction set.
#include "kernels/pool2d/pool2d.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"

constexpr std::size_t kPooled = kLanes;

inline Value load_some(const float* from, std::size_t count) {
  return count == kLanes ? load(from) : load_first(from, count);
}

inline void store_some(float* to, Value x, std::size_t count) { store_first(to, x, count); }

// What follows is the same for every Value.
#include "kernels/pool2d/pool2d_values.h"

}  // namespace

void pool2d_avx2(const PoolCall& call, Slice rows) { run(call, rows); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
