// The bindings of the operations on static codes: conv2d_a8 and depthwise_a8.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds the weights and layers of bind/static_weights.h and, for each operation, a class of its
// kernels, a list of all and a function that returns what `allowed` selects.
void bind_static_ops(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
