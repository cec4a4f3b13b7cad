// The binding of quantize.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds QuantizeKernel, quantize_kernels() and quantize_kernel(), which returns what `allowed`
// selects.
void bind_quantize(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
