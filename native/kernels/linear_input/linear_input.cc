#include "kernels/linear_input/linear_input.h"

namespace lamella {
namespace {

constexpr LinearInputKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/linear_input/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<LinearInputKernel> linear_input_kernels() { return kKernels; }

const LinearInputKernel& linear_input_select(IsaSet host) { return select_kernel(kKernels, host); }

}  // namespace lamella
