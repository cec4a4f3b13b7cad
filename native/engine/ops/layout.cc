// transpose, concat, slice and copy: elements of any dtype, moved as they are.
#include <cstring>

#include "engine/arguments.h"
#include "kernels/transpose/transpose.h"

namespace lamella {
namespace {

// Checks that operand i has the dtype of the result and its number of axes.
void check_alike(Check& check, const Call& call, std::size_t i) {
  if (!check.ok()) return;
  const Tensor* tensor = call.operand(i);
  check.require(tensor != nullptr && tensor->dtype == call.result().dtype &&
                    tensor->rank == call.result().rank,
                "its arrays differ in dtype or number of axes");
}

// Checks that operand i has the sizes of the result but for one axis.
void check_sizes(Check& check, const Call& call, std::size_t i, std::size_t axis) {
  if (!check.ok()) return;
  bool fits = true;
  for (std::size_t k = 0; k < call.result().rank; ++k) {
    fits = fits && (k == axis || call.operand(i)->sizes[k] == call.result().sizes[k]);
  }
  check.require(fits, "its arrays have different sizes");
}

Status check_transpose(const Call& call) {
  const std::size_t axes = call.integers.size();
  Check check(call, {2, 1, axes});
  check_alike(check, call, 0);
  if (!check.ok()) return check.status();
  const Tensor &x = *call.operand(0), &y = call.result();
  check.require(bytes_of(x.dtype) <= 4, "elements of 8 bytes cannot be transposed");
  check.require(axes == x.rank, "its order has another number of axes");
  bool seen[kMostAxes] = {};
  for (std::size_t i = 0; check.ok() && i < axes; ++i) {
    check.integer(i, 0, static_cast<std::int64_t>(axes) - 1);
    if (!check.ok()) break;
    const auto axis = static_cast<std::size_t>(call.integers[i]);
    check.require(!seen[axis] && y.sizes[i] == x.sizes[axis], "its order does not give the result");
    seen[axis] = true;
  }
  return check.status();
}

Status run_transpose(const Call& call, const Context& context) {
  const Tensor &x = *call.operand(0), &y = call.result();
  if (y.count() == 0) return Status::success();
  const std::size_t order_size = call.integers.size();
  std::size_t order[kMostAxes];
  for (std::size_t i = 0; i < order_size; ++i)
    order[i] = static_cast<std::size_t>(call.integers[i]);
  const TransposePlan plan = plan_transpose(bytes_of(x.dtype), {x.sizes, x.rank}, order);
  const TransposeCall moved{plan, x.as<const std::uint8_t>(), y.as<std::uint8_t>()};
  const TransposeFn run = transpose_select(context.isa).run;
  run_slices(context.pool, plan.units(), [&](Slice units) { run(moved, units); });
  return Status::success();
}

Status check_concat(const Call& call) {
  const std::size_t operands = call.operands.size();
  Check check(call, {operands < 2 ? 2 : operands, 1, 1});
  if (!check.ok()) return check.status();
  check.integer(0, 0, static_cast<std::int64_t>(call.result().rank) - 1);
  std::size_t total = 0;
  for (std::size_t i = 0; check.ok() && i + 1 < operands; ++i) {
    const auto axis = static_cast<std::size_t>(call.integers[0]);
    check_alike(check, call, i);
    check_sizes(check, call, i, axis);
    if (check.ok()) total += call.operand(i)->sizes[axis];
  }
  if (!check.ok()) return check.status();
  const std::size_t all = call.result().sizes[static_cast<std::size_t>(call.integers[0])];
  return check.require(total == all, "its arrays do not add up to the result").status();
}

Status run_concat(const Call& call, const Context&) {
  const Tensor& y = call.result();
  const auto axis = static_cast<std::size_t>(call.integers[0]);
  const std::size_t line = y.count(axis, y.rank) * bytes_of(y.dtype);
  auto* to = y.as<std::uint8_t>();
  for (std::size_t i = 0; i + 1 < call.operands.size(); ++i) {
    const Tensor& x = *call.operand(i);
    const std::size_t part = x.count(axis, x.rank) * bytes_of(x.dtype);
    for (std::size_t row = 0; row < y.count(0, axis); ++row) {
      std::memmove(to + row * line, x.as<const std::uint8_t>() + row * part, part);
    }
    to += part;
  }
  return Status::success();
}

// The first place that is taken; below 0 it counts from the end.
std::int64_t first_of(const Call& call, std::size_t axis) {
  const std::int64_t first = call.integers[1];
  return first < 0 ? first + static_cast<std::int64_t>(call.operand(0)->sizes[axis]) : first;
}

Status check_slice(const Call& call) {
  Check check(call, {2, 1, 3});
  check_alike(check, call, 0);
  if (!check.ok()) return check.status();
  check.integer(0, 0, static_cast<std::int64_t>(call.result().rank) - 1);
  check.integer(1, -INT32_MAX, INT32_MAX).integer(2, 1, INT32_MAX);
  if (!check.ok()) return check.status();
  const auto axis = static_cast<std::size_t>(call.integers[0]);
  check_sizes(check, call, 0, axis);
  const std::int64_t first = first_of(call, axis);
  const auto count = static_cast<std::int64_t>(call.result().sizes[axis]);
  const auto size = static_cast<std::int64_t>(call.operand(0)->sizes[axis]);
  const bool inside = first >= 0 && first + (count - 1) * call.integers[2] < size;
  return check.require(count == 0 || inside, "it reaches outside its array").status();
}

Status run_slice(const Call& call, const Context&) {
  const Tensor &x = *call.operand(0), &y = call.result();
  const auto axis = static_cast<std::size_t>(call.integers[0]);
  const auto step = static_cast<std::size_t>(call.integers[2]);
  const std::size_t item = x.count(axis + 1, x.rank) * bytes_of(x.dtype);
  const std::size_t count = y.sizes[axis], line = x.sizes[axis] * item;
  if (y.count() == 0) return Status::success();
  const auto first = static_cast<std::size_t>(first_of(call, axis));
  const std::uint8_t* from = x.as<const std::uint8_t>() + first * item;
  auto* to = y.as<std::uint8_t>();
  for (std::size_t row = 0; row < y.count(0, axis); ++row, from += line) {
    // Neighbours are moved at once.
    const std::size_t run = step == 1 ? count : 1;
    for (std::size_t i = 0; i < count; i += run, to += run * item) {
      std::memmove(to, from + i * step * item, run * item);
    }
  }
  return Status::success();
}

Status check_copy(const Call& call) {
  Check check(call, {2, 1});
  if (!check.ok()) return check.status();
  const Tensor* x = call.operand(0);
  return check
      .require(
          x != nullptr && x->dtype == call.result().dtype && x->bytes() == call.result().bytes(),
          "its arrays differ in dtype or size")
      .status();
}

Status run_copy(const Call& call, const Context&) {
  const Tensor& y = call.result();
  if (y.bytes() != 0) std::memmove(y.data, call.operand(0)->data, y.bytes());
  return Status::success();
}

}  // namespace

extern const Op kOp_transpose = {"transpose", 1, check_transpose, nullptr, run_transpose};
extern const Op kOp_concat = {"concat", 1, check_concat, nullptr, run_concat};
extern const Op kOp_slice = {"slice", 1, check_slice, nullptr, run_slice};
extern const Op kOp_copy = {"copy", 1, check_copy, nullptr, run_copy};

}  // namespace lamella
