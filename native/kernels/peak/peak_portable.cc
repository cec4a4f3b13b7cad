// peak for any processor: the reference of the other kernels.
#include <cmath>
#include <type_traits>
#include <utility>

#include "kernels/peak/peak.h"

namespace lamella {
namespace {

#include "kernels/peak/loop.inc"

template <typename Number>
struct One {
  using Operand = Number;
  using Sum = Number;
  static constexpr std::size_t kProducts = 1, kSums = 12;

  static Number all(int number) { return static_cast<Number>(number); }
  static Number zero() { return 0; }
  static std::uint32_t total(Number sum) { return static_cast<std::uint32_t>(sum); }

  LAMELLA_INLINE static Number add(Number sum, Number& weight, Number input) {
    hide(weight);
    if constexpr (std::is_integral_v<Number>) return sum + weight * input;
    return std::fma(weight, input, sum);
  }
};

}  // namespace

std::uint32_t peak_w4a8_portable(std::size_t rounds, PeakOperands operands) {
  return run<One<std::uint32_t>>(rounds, operands);
}
std::uint32_t peak_w8a8_portable(std::size_t rounds, PeakOperands operands) {
  return run<One<std::uint32_t>>(rounds, operands);
}
std::uint32_t peak_f32_portable(std::size_t rounds, PeakOperands operands) {
  return run<One<float>>(rounds, operands);
}

}  // namespace lamella
