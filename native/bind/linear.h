// The binding of kernels/linear_input and kernels/linear_a8.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <optional>

#include "base/isa.h"
#include "base/threads.h"
#include "kernels/linear_a8/linear_a8.h"

namespace lamella {

// Adds LinearWeight, pack_linear(), the two classes of kernels, and for each of them a list of all
// and a function that returns what `allowed` selects.
void bind_linear(pybind11::module_& module, IsaSet allowed);

// What a linear layer takes beside its weight; `pool` may be null.
struct LinearArguments {
  const pybind11::array& x;
  const std::optional<pybind11::array>& bias;
  ThreadPool* pool;
};

// Quantizes x and runs a kernel. Raises ValueError for what does not fit.
pybind11::array run_linear_view(const LinearKernel& kernel, const LinearWeight& weight,
                                const LinearArguments& arguments);

}  // namespace lamella
