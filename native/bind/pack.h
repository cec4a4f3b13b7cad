// The binding of kernels/pack.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds PackKernel, pack_kernels() and pack_kernel(); the last returns what `allowed` selects.
void bind_pack(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
