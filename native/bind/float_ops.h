// The bindings of the operations on rows of float32: softmax, rmsnorm, layernorm, rope.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds, for each operation, a class <Op>Kernel, <op>_kernels() with every kernel of this build, and
// <op>_kernel(), which returns what `allowed` selects.
void bind_float_ops(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
