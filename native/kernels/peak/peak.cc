#include "kernels/peak/peak.h"

namespace lamella {
namespace {

constexpr PeakKernel kKernels[] = {
#define LAMELLA_KERNEL(name, bits, needs) {{#name, needs}, bits, &name},
#include "kernels/peak/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<PeakKernel> peak_kernels() { return kKernels; }

const PeakKernel& peak_select(int bits, IsaSet host) {
  return select_kernel(kKernels, &PeakKernel::bits, bits, host);
}

}  // namespace lamella
