// cast: elements in another dtype.
#include <cmath>
#include <limits>

#include "base/half.h"
#include "engine/arguments.h"

namespace lamella {
namespace {

// Half floats and bools have the bits of integers and need types of their own.
struct Half {
  std::uint16_t bits;
};

struct Truth {
  std::uint8_t byte;
};

// Every element passes through float or int64, both exact for what they are of.
float widened(float value) { return value; }
float widened(Half value) { return half_to_float(value.bits); }
std::int64_t widened(Truth value) { return value.byte != 0; }
template <typename Integer>
std::int64_t widened(Integer value) {
  return value;
}

template <typename To>
struct Narrow {
  static To from(std::int64_t value) { return static_cast<To>(value); }

  // What lies outside the range is its end; a NaN is 0.
  static To from(float value) {
    using Limits = std::numeric_limits<To>;
    if (std::isnan(value)) return 0;
    if (value <= static_cast<float>(Limits::min())) return Limits::min();
    if (value >= static_cast<float>(Limits::max())) return Limits::max();
    return static_cast<To>(value);
  }
};

template <>
struct Narrow<float> {
  template <typename From>
  static float from(From value) {
    return static_cast<float>(value);
  }
};

template <>
struct Narrow<Half> {
  template <typename From>
  static Half from(From value) {
    return {float_to_half(static_cast<float>(value))};
  }
};

template <>
struct Narrow<Truth> {
  template <typename From>
  static Truth from(From value) {
    return {static_cast<std::uint8_t>(value != 0)};
  }
};

template <typename From, typename To>
void convert(const Tensor& x, const Tensor& y) {
  const auto* from = x.as<const From>();
  auto* to = y.as<To>();
  const std::size_t count = y.count();
  for (std::size_t i = 0; i < count; ++i) to[i] = Narrow<To>::from(widened(from[i]));
}

template <typename From>
void convert_from(const Tensor& x, const Tensor& y) {
  using Convert = void (*)(const Tensor&, const Tensor&);
  // In the order of DType.
  constexpr Convert kTo[] = {convert<From, float>,        convert<From, Half>,
                             convert<From, std::int8_t>,  convert<From, std::uint8_t>,
                             convert<From, std::int32_t>, convert<From, std::int64_t>,
                             convert<From, Truth>};
  kTo[static_cast<std::size_t>(y.dtype)](x, y);
}

Status check_cast(const Call& call) {
  Check check(call, {2, 1});
  if (!check.ok()) return check.status();
  check.require(call.operand(0) != nullptr, "operand 0 is missing");
  if (check.ok()) check.same(0, 1);
  return check.status();
}

Status run_cast(const Call& call, const Context&) {
  using Convert = void (*)(const Tensor&, const Tensor&);
  constexpr Convert kFrom[] = {convert_from<float>,        convert_from<Half>,
                               convert_from<std::int8_t>,  convert_from<std::uint8_t>,
                               convert_from<std::int32_t>, convert_from<std::int64_t>,
                               convert_from<Truth>};
  const Tensor& x = *call.operand(0);
  kFrom[static_cast<std::size_t>(x.dtype)](x, call.result());
  return Status::success();
}

}  // namespace

extern const Op kOp_cast = {"cast", 1, check_cast, nullptr, run_cast};

}  // namespace lamella
