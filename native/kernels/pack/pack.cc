#include "kernels/pack/pack.h"

namespace lamella {
namespace {

constexpr PackKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/pack/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<PackKernel> pack_kernels() { return kKernels; }

const PackKernel& pack_select(IsaSet host) { return select_kernel(kKernels, host); }

std::size_t kept_codes(std::size_t rows, std::size_t cols, const std::uint8_t* mask) {
  std::size_t ones = 0;
  for (std::size_t row = 0; row < rows; ++row, mask += packed_row_bytes(cols, 1)) {
    for (std::size_t byte = 0; byte < cols / 8; ++byte) {
      ones += static_cast<std::size_t>(__builtin_popcount(mask[byte]));
    }
    if (cols % 8 == 0) continue;
    const unsigned valid = (1u << (cols % 8)) - 1;
    ones += static_cast<std::size_t>(__builtin_popcount(mask[cols / 8] & valid));
  }
  return ones;
}

}  // namespace lamella
