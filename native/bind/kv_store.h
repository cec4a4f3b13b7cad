// The binding of kernels/kv_store.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds KvStoreKernel, kv_store_kernels() and kv_store_kernel(). Needs what bind_attention adds.
void bind_kv_store(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
