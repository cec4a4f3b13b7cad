// softmax with NEON: softmax_vector.h on the registers of this instruction set.
#include "kernels/softmax/softmax.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"
// What follows is the same for every Value.
#include "kernels/softmax/softmax_vector.h"

}  // namespace

void softmax_neon(std::size_t rows, std::size_t cols, const float* x, float* y) {
  run(rows, cols, x, y);
}

}  // namespace lamella

#endif  // LAMELLA_ARM
