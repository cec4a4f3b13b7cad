// The binding of transpose.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds TransposeKernel, transpose_kernels() and transpose_kernel(), which returns what `allowed`
// selects.
void bind_transpose(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
