// The binding of elementwise.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds ElementwiseKernel, elementwise_kernels() and elementwise_kernel(), which returns what
// `allowed` selects.
void bind_elementwise(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
