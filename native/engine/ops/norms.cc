// softmax, layernorm and rmsnorm, along the last axis.
#include <cmath>

#include "engine/arguments.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/softmax/softmax.h"

namespace lamella {
namespace {

// The columns of a row must be exact as float32.
constexpr std::size_t kMostCols = std::size_t{1} << 24;

// Operand 0 and the result have the same sizes; what lies between them is (cols).
Status check_norm(const Call& call, std::size_t vectors) {
  const std::size_t last = vectors + 1;
  Check check(call, {last + 1, 1, 0, vectors == 0 ? 0u : 1u});
  if (!check.kind(0, DType::kF32).kind(last, DType::kF32).same(0, last).ok()) {
    return check.status();
  }
  const std::size_t cols = call.result().last();
  check.require(call.result().rank != 0 && cols <= kMostCols, "its rows are too long");
  for (std::size_t i = 1; i <= vectors; ++i) check.array(i, DType::kF32, {cols});
  if (vectors == 0) return check.status();
  const float eps = call.numbers.empty() ? -1.0f : call.numbers[0];
  return check.require(eps >= 0 && std::isfinite(eps), "eps must be finite and 0 or more").status();
}

// Runs body(first row, rows, the elements before them) for the rows of each thread.
template <typename Body>
void run_rows(const Call& call, const Context& context, const Body& body) {
  const std::size_t cols = call.result().last();
  run_slices(context.pool, call.result().rows(),
             [&](Slice rows) { body(rows.end - rows.begin, rows.begin * cols); });
}

Status run_softmax(const Call& call, const Context& context) {
  const auto* x = call.operand(0)->as<const float>();
  auto* y = call.result().as<float>();
  const SoftmaxFn run = softmax_select(context.isa).run;
  run_rows(call, context, [&](std::size_t rows, std::size_t first) {
    run(rows, call.result().last(), x + first, y + first);
  });
  return Status::success();
}

Status run_layernorm(const Call& call, const Context& context) {
  const auto* x = call.operand(0)->as<const float>();
  auto* y = call.result().as<float>();
  const LayernormParameters parameters{call.operand(1)->as<const float>(),
                                       call.operand(2)->as<const float>(), call.numbers[0]};
  const LayernormFn run = layernorm_select(context.isa).run;
  run_rows(call, context, [&](std::size_t rows, std::size_t first) {
    run(rows, call.result().last(), x + first, parameters, y + first);
  });
  return Status::success();
}

Status run_rmsnorm(const Call& call, const Context& context) {
  const auto* x = call.operand(0)->as<const float>();
  auto* y = call.result().as<float>();
  const RmsnormParameters parameters{call.operand(1)->as<const float>(), call.numbers[0]};
  const RmsnormFn run = rmsnorm_select(context.isa).run;
  run_rows(call, context, [&](std::size_t rows, std::size_t first) {
    run(rows, call.result().last(), x + first, parameters, y + first);
  });
  return Status::success();
}

}  // namespace

extern const Op kOp_softmax = {"softmax", 1, [](const Call& call) { return check_norm(call, 0); },
                               nullptr, run_softmax};
extern const Op kOp_layernorm = {
    "layernorm", 1, [](const Call& call) { return check_norm(call, 2); }, nullptr, run_layernorm};
extern const Op kOp_rmsnorm = {"rmsnorm", 1, [](const Call& call) { return check_norm(call, 1); },
                               nullptr, run_rmsnorm};

}  // namespace lamella
