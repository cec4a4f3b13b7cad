#include "kernels/rmsnorm/rmsnorm.h"

namespace lamella {
namespace {

constexpr RmsnormKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/rmsnorm/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<RmsnormKernel> rmsnorm_kernels() { return kKernels; }

const RmsnormKernel& rmsnorm_select(IsaSet host) { return select_kernel(kKernels, host); }

}  // namespace lamella
