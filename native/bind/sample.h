// The binding of kernels/sample.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds Sampling, SampleKernel, sample_kernels() and sample_kernel(); the last returns what
// `allowed` selects.
void bind_sample(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
