// A weight of linear_a8 among the operands of a call: codes, scale and zero in this order.
#pragma once

#include <cstddef>

#include "engine/check.h"
#include "kernels/linear_a8/linear_a8.h"

namespace lamella {

// Where a call has them: the operand with the codes, and the integer with the bits, after which
// comes the group.
struct CodesAt {
  std::size_t operand;
  std::size_t integer;
};

struct MatrixSize {
  std::size_t rows;
  std::size_t cols;
};

// Checks that bits and group are those of a format.
void check_codes(Check& check, const Call& call, const CodesAt& at);

// Checks, after check_codes(), that the arrays have the sizes of a matrix.
void check_code_sizes(Check& check, const Call& call, const CodesAt& at, const MatrixSize& size);

// The weight of a checked call.
LinearWeight weight_of(const Call& call, const CodesAt& at, const MatrixSize& size);

}  // namespace lamella
