// The binding of kernels/sparse_linear_a8.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds SparseWeight, pack_sparse(), SparseLinearKernel, sparse_linear_a8_kernels() and
// sparse_linear_a8_kernel(), which returns what `allowed` selects. LinearWeight is bound before.
void bind_sparse_linear(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
