// The binding of kernels/embed.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds EmbedKernel, embed_kernels() and embed_kernel(). Needs what bind_linear adds.
void bind_embed(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
