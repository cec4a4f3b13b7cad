// rope with NEON: rope_vector.h on the registers of this instruction set.
#include "kernels/rope/rope.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"
// What follows is the same for every Value.
#include "kernels/rope/rope_vector.h"

}  // namespace

void rope_neon(RopeShape shape, const float* x, RopeTables tables, float* y) {
  run(shape, x, tables, y);
}

}  // namespace lamella

#endif  // LAMELLA_ARM
