#include "kernels/quantize/quantize.h"

#include <numeric>

namespace lamella {
namespace {

constexpr QuantizeKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/quantize/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<QuantizeKernel> quantize_kernels() { return kKernels; }

const QuantizeKernel& quantize_select(IsaSet host) { return select_kernel(kKernels, host); }

std::size_t period_of(std::size_t channels) { return std::lcm(channels, kQuantizeBlock); }

}  // namespace lamella
