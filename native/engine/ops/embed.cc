// embed and embed_codes: rows of a table by their ids.
#include "kernels/embed/embed.h"

#include <string>

#include "engine/arguments.h"
#include "engine/ops/packed.h"

namespace lamella {
namespace {

// The ids are (...) int32 or int64, and the result (..., cols).
void check_ids(Check& check, const Tensor* id, const Tensor& y) {
  if (!check.ok()) return;
  check.require(id != nullptr && (id->dtype == DType::kI32 || id->dtype == DType::kI64),
                "its ids must be int32 or int64");
  if (!check.ok()) return;
  bool fits = y.dtype == DType::kF32 && y.rank == id->rank + 1;
  for (std::size_t i = 0; fits && i < id->rank; ++i) fits = y.sizes[i] == id->sizes[i];
  check.require(fits, "its result must be float32 with a row for each id");
}

// Copies the ids, since what is written may lie where they do; fails unless all are rows.
Status copy_ids(const Tensor& id, std::size_t rows, std::int32_t* to) {
  const std::size_t count = id.count();
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t one = id.dtype == DType::kI32 ? std::int64_t{id.as<const std::int32_t>()[i]}
                                                     : id.as<const std::int64_t>()[i];
    if (one < 0 || static_cast<std::uint64_t>(one) >= rows) {
      return Status::failure("the id " + std::to_string(one) + " is outside the table, which has " +
                             std::to_string(rows) + " rows");
    }
    to[i] = static_cast<std::int32_t>(one);
  }
  return Status::success();
}

Status look_up(const EmbedTable& table, std::size_t rows, const Call& call, const Tensor& id,
               const Context& context) {
  auto* ids = reinterpret_cast<std::int32_t*>(context.scratch);
  const Status status = copy_ids(id, rows, ids);
  if (!status.ok()) return status;
  const EmbedCall embed{table, ids, call.result().as<float>()};
  const EmbedFn run = embed_select(context.isa).run;
  run_slices(context.pool, id.count(), [&](Slice some) { run(embed, some); });
  return Status::success();
}

Status check_embed(const Call& call) {
  Check check(call, {3, 1});
  if (check.ok()) check_ids(check, call.operand(1), call.result());
  if (!check.ok()) return check.status();
  const Tensor* table = call.operand(0);
  const bool half = table != nullptr && table->dtype == DType::kF16;
  return check.array(0, half ? DType::kF16 : DType::kF32, {kAny, call.result().last()}).status();
}

Status run_embed(const Call& call, const Context& context) {
  const Tensor& table = *call.operand(0);
  const bool half = table.dtype == DType::kF16;
  const EmbedTable rows{table.sizes[1], nullptr, half ? table.as<const std::uint16_t>() : nullptr,
                        half ? nullptr : table.as<const float>()};
  return look_up(rows, table.sizes[0], call, *call.operand(1), context);
}

MatrixSize matrix_of(const Call& call) {
  return {static_cast<std::size_t>(call.integers[0]), static_cast<std::size_t>(call.integers[1])};
}

Status check_embed_codes(const Call& call) {
  Check check(call, {5, 1, 4});
  check.integer(0, 1, INT32_MAX).integer(1, 1, INT32_MAX);
  check_codes(check, call, {0, 2});
  if (!check.ok()) return check.status();
  check_code_sizes(check, call, {0, 2}, matrix_of(call));
  check_ids(check, call.operand(3), call.result());
  return check.require(call.result().last() == matrix_of(call).cols, "its columns differ").status();
}

Status run_embed_codes(const Call& call, const Context& context) {
  const LinearWeight weight = weight_of(call, {0, 2}, matrix_of(call));
  return look_up({weight.cols, &weight, nullptr, nullptr}, weight.rows, call, *call.operand(3),
                 context);
}

}  // namespace

extern const Op kOp_embed = {
    "embed", 1, check_embed,
    [](const Call& call, std::size_t) { return call.operand(1)->count() * sizeof(std::int32_t); },
    run_embed};
extern const Op kOp_embed_codes = {
    "embed_codes", 1, check_embed_codes,
    [](const Call& call, std::size_t) { return call.operand(3)->count() * sizeof(std::int32_t); },
    run_embed_codes};

}  // namespace lamella
