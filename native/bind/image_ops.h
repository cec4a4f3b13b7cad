// The bindings of the operations on float32 images: conv2d_f32, depthwise_f32, pool2d.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds Conv2dF32Weight and pack_conv2d_f32(), and for each operation a class <Op>Kernel,
// <op>_kernels() with every kernel of this build, and <op>_kernel(), which returns what `allowed`
// selects.
void bind_image_ops(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
