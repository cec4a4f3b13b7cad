#include "kernels/sample/sample.h"

namespace lamella {
namespace {

constexpr SampleKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/sample/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<SampleKernel> sample_kernels() { return kKernels; }

const SampleKernel& sample_select(IsaSet host) { return select_kernel(kKernels, host); }

}  // namespace lamella
