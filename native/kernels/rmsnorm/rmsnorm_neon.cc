// rmsnorm with NEON: rmsnorm_vector.h on the registers of this instruction set.
#include "kernels/rmsnorm/rmsnorm.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"
// What follows is the same for every Value.
#include "kernels/rmsnorm/rmsnorm_vector.h"

}  // namespace

void rmsnorm_neon(std::size_t rows, std::size_t cols, const float* x, RmsnormParameters parameters,
                  float* y) {
  run(rows, cols, x, parameters, y);
}

}  // namespace lamella

#endif  // LAMELLA_ARM
