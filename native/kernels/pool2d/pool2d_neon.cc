// pool2d with NEON: pool2d_values.h on the registers of this instruction set.
#include "kernels/pool2d/pool2d.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"

constexpr std::size_t kPooled = kLanes;

inline Value load_some(const float* from, std::size_t count) {
  return count == kLanes ? load(from) : load_first(from, count);
}

inline void store_some(float* to, Value x, std::size_t count) { store_first(to, x, count); }

// What follows is the same for every Value.
#include "kernels/pool2d/pool2d_values.h"

}  // namespace

void pool2d_neon(const PoolCall& call, Slice rows) { run(call, rows); }

}  // namespace lamella

#endif  // LAMELLA_ARM
