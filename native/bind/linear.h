// The binding of kernels/linear_input and kernels/linear_a8.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds LinearWeight, pack_linear(), the two classes of kernels, and for each of them a list of all
// and a function that returns what `allowed` selects.
void bind_linear(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
