#include "kernels/layernorm/layernorm.h"

namespace lamella {
namespace {

constexpr LayernormKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/layernorm/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<LayernormKernel> layernorm_kernels() { return kKernels; }

const LayernormKernel& layernorm_select(IsaSet host) { return select_kernel(kKernels, host); }

}  // namespace lamella
