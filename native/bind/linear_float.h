// The binding of kernels/linear_float.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds FloatWeight, pack_float(), LinearFloatKernel, linear_float_kernels() and
// linear_float_kernel(), which returns what `allowed` selects. LinearWeight is bound before.
void bind_linear_float(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
