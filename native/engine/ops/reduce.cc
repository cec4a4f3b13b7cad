// sum along one axis, and sqrt: what poolings and normalisations of a model are written with.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/arguments.h"

namespace lamella {
namespace {

float plain(float value) {
  return std::isnan(value) ? std::numeric_limits<float>::quiet_NaN() : value;
}

Status check_sum(const Call& call) {
  Check check(call, {2, 1, 1});
  if (!check.kind(0, DType::kF32).kind(1, DType::kF32).ok()) return check.status();
  const Tensor &x = *call.operand(0), &y = call.result();
  if (!check.integer(0, 0, static_cast<std::int64_t>(x.rank) - 1).ok()) return check.status();
  const auto axis = static_cast<std::size_t>(call.integers[0]);
  bool fits = y.rank == x.rank;
  for (std::size_t i = 0; fits && i < x.rank; ++i) {
    fits = y.sizes[i] == (i == axis ? 1 : x.sizes[i]);
  }
  return check.require(fits, "its result must have the sizes of x, and 1 at the axis").status();
}

// Terms are added from the first to the last; a row of sums is collected in the scratch.
Status run_sum(const Call& call, const Context& context) {
  const Tensor& x = *call.operand(0);
  const auto axis = static_cast<std::size_t>(call.integers[0]);
  const std::size_t terms = x.sizes[axis], inner = x.count(axis + 1, x.rank);
  const auto* from = x.as<const float>();
  auto* to = call.result().as<float>();
  auto* sums = reinterpret_cast<float*>(context.scratch);
  for (std::size_t row = 0; row < x.count(0, axis); ++row, to += inner) {
    std::fill_n(sums, inner, 0.0f);
    for (std::size_t term = 0; term < terms; ++term, from += inner) {
      for (std::size_t i = 0; i < inner; ++i) sums[i] += from[i];
    }
    std::transform(sums, sums + inner, to, plain);
  }
  return Status::success();
}

std::size_t scratch_sum(const Call& call, std::size_t) {
  const Tensor& x = *call.operand(0);
  return x.count(static_cast<std::size_t>(call.integers[0]) + 1, x.rank) * sizeof(float);
}

Status check_sqrt(const Call& call) {
  Check check(call, {2, 1});
  return check.kind(0, DType::kF32).kind(1, DType::kF32).same(0, 1).status();
}

Status run_sqrt(const Call& call, const Context&) {
  const auto* from = call.operand(0)->as<const float>();
  std::transform(from, from + call.result().count(), call.result().as<float>(),
                 [](float value) { return plain(std::sqrt(value)); });
  return Status::success();
}

}  // namespace

extern const Op kOp_sum = {"sum", 1, check_sum, scratch_sum, run_sum};
extern const Op kOp_sqrt = {"sqrt", 1, check_sqrt, nullptr, run_sqrt};

}  // namespace lamella
