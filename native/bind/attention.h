// The binding of kernels/attention.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds AttentionMask, causal_mask(), padding_mask(), AttentionKernel, attention_kernels() and
// attention_kernel(); the last returns what `allowed` selects.
void bind_attention(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
