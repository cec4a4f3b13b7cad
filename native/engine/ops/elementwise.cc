// The functions of kernels/elementwise: of one array, or of two that are broadcast.
#include "kernels/elementwise/elementwise.h"

#include "engine/arguments.h"

namespace lamella {
namespace {

// The least number of elements that is worth a second thread.
constexpr std::size_t kLeastPart = 16384;

ThreadPool* pool_for(const Context& context, std::size_t elements) {
  return elements < 2 * kLeastPart ? nullptr : context.pool;
}

Status check_unary(const Call& call) {
  Check check(call, {2, 1});
  return check.kind(0, DType::kF32).kind(1, DType::kF32).same(0, 1).status();
}

Status run_unary(const Call& call, const Context& context, UnaryFn function) {
  const auto* from = call.operand(0)->as<const float>();
  auto* to = call.result().as<float>();
  const std::size_t count = call.result().count();
  run_slices(pool_for(context, count), count, [&](Slice some) {
    function(some.end - some.begin, from + some.begin, to + some.begin);
  });
  return Status::success();
}

// The sizes of an operand with ones in front, as many as the result has.
struct Filled {
  Filled(const Tensor& tensor, std::size_t rank) {
    for (std::size_t i = 0; i < rank; ++i) {
      const std::size_t missing = rank - tensor.rank;
      sizes[i] = i < missing ? 1 : tensor.sizes[i - missing];
    }
  }

  std::size_t sizes[kMostAxes];
};

Status check_binary(const Call& call) {
  Check check(call, {3, 1});
  if (!check.kind(0, DType::kF32).kind(1, DType::kF32).kind(2, DType::kF32).ok()) {
    return check.status();
  }
  const Tensor &a = *call.operand(0), &b = *call.operand(1), &y = call.result();
  bool fits = y.rank == (a.rank > b.rank ? a.rank : b.rank);
  for (std::size_t i = 0; fits && i < y.rank; ++i) {
    const std::size_t left = Filled(a, y.rank).sizes[i], right = Filled(b, y.rank).sizes[i];
    fits = (left == right || left == 1 || right == 1) && y.sizes[i] == (left == 1 ? right : left);
  }
  return check.require(fits, "its arrays cannot be broadcast to the result").status();
}

Status run_binary(const Call& call, const Context& context, BinaryFn function) {
  const Tensor &a = *call.operand(0), &b = *call.operand(1), &y = call.result();
  const Filled left(a, y.rank), right(b, y.rank);
  const Broadcast shape = plan_broadcast({left.sizes, y.rank}, {right.sizes, y.rank});
  run_slices(pool_for(context, y.count()), y.count(), [&](Slice some) {
    function(shape, a.as<const float>(), b.as<const float>(), y.as<float>(), some);
  });
  return Status::success();
}

}  // namespace

#define LAMELLA_UNARY(name)                                                           \
  extern const Op kOp_##name = {                                                      \
      #name, 1, check_unary, nullptr, [](const Call& call, const Context& context) {  \
        return run_unary(call, context, elementwise_select(context.isa).calls->name); \
      }};
#define LAMELLA_BINARY(name)                                                           \
  extern const Op kOp_##name = {                                                       \
      #name, 1, check_binary, nullptr, [](const Call& call, const Context& context) {  \
        return run_binary(call, context, elementwise_select(context.isa).calls->name); \
      }};
#include "kernels/elementwise/operations.inc"
#undef LAMELLA_UNARY
#undef LAMELLA_BINARY

}  // namespace lamella
