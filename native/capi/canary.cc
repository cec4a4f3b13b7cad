#include "capi/canary.h"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/half.h"
#include "engine/check.h"
#include "engine/memory.h"

namespace lamella {
namespace {

using file::CanaryTensor;

// The elements of a tensor of the canary, at a multiple of 64.
struct Filled {
  explicit Filled(const CanaryTensor& from) : memory(from.bytes), tensor() {
    if (memory.ok()) from.copy_to(memory.data());
    tensor.data = memory.data();
  }

  ZeroedMemory memory;
  Tensor tensor;
};

// Whether the engine has such arrays.
bool shape_of(const CanaryTensor& from, Tensor* tensor) {
  tensor->rank = from.shape.size();
  if (tensor->rank > kMostAxes) return false;
  for (std::size_t i = 0; i < tensor->rank; ++i) {
    tensor->sizes[i] = static_cast<std::size_t>(from.shape[i]);
  }
  for (std::uint8_t i = 0; i < kDTypes; ++i) {
    tensor->dtype = static_cast<DType>(i);
    if (std::strcmp(name_of(tensor->dtype), dtype_name(from.dtype)) == 0) return true;
  }
  return false;
}

double element(const Tensor& tensor, std::size_t i) {
  switch (tensor.dtype) {
    case DType::kF32:
      return tensor.as<float>()[i];
    case DType::kF16:
      return half_to_float(tensor.as<std::uint16_t>()[i]);
    case DType::kI8:
      return tensor.as<std::int8_t>()[i];
    case DType::kI32:
      return tensor.as<std::int32_t>()[i];
    case DType::kI64:
      return static_cast<double>(tensor.as<std::int64_t>()[i]);
    default:
      return tensor.as<std::uint8_t>()[i];
  }
}

// The largest difference of two elements and the parts of the cosine of their arrays.
struct Distance {
  double error = 0, product = 0, square = 0, other = 0;

  void add(double wanted, double found) {
    const bool equal = wanted == found || (std::isnan(wanted) && std::isnan(found));
    const double difference = equal ? 0 : std::abs(wanted - found);
    error = std::isnan(difference) ? HUGE_VAL : std::max(error, difference);
    if (!std::isfinite(wanted) || !std::isfinite(found)) return;
    product += wanted * found;
    square += wanted * wanted;
    other += found * found;
  }

  double cosine() const {
    if (error == 0) return 1;
    return square > 0 && other > 0 ? product / std::sqrt(square) / std::sqrt(other) : 0;
  }
};

Status compare(const CanaryTensor& from, const Tensor& found, const file::Tolerance& tolerance) {
  const Filled wanted(from);
  if (!wanted.memory.ok()) return Status::failure("there is not enough memory for the canary");
  Tensor shape = wanted.tensor;
  if (!shape_of(from, &shape) || text_of(shape) != text_of(found)) {
    return Status::failure("output " + from.name + " is " + text_of(found) +
                           ", not what the canary of the file is");
  }
  Distance distance;
  for (std::size_t i = 0; i < shape.count(); ++i)
    distance.add(element(shape, i), element(found, i));
  const double cosine = distance.cosine();
  if (distance.error <= tolerance.max_abs_error && cosine >= tolerance.min_cosine.value_or(-2)) {
    return Status::success();
  }
  return Status::failure(
      "this device computes something else than the one that packed the file: "
      "output " +
      from.name + " has an error of " + std::to_string(distance.error) + " and a cosine of " +
      std::to_string(cosine) + "; update the engine or pack the file again");
}

}  // namespace

Status run_canary(const file::Artifact& artifact, Session* session) {
  const file::Canary& canary = artifact.canary();
  const Program& program = session->program();
  std::vector<Tensor> inputs(program.inputs.size());
  std::vector<Filled> memory;
  memory.reserve(canary.inputs.size());
  for (const CanaryTensor& from : canary.inputs) {
    memory.emplace_back(from);
    Tensor tensor = memory.back().tensor;
    if (!memory.back().memory.ok() || !shape_of(from, &tensor)) {
      return Status::failure("input " + from.name + " of the canary is not for this engine");
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (program.inputs[i].name == from.name) inputs[i] = tensor;
    }
  }
  session->forget();
  const Status run = session->run(inputs);
  session->forget();
  if (!run.ok()) return run;
  for (const CanaryTensor& from : canary.outputs) {
    std::size_t i = 0;
    while (i < program.outputs.size() && program.outputs[i].name != from.name) ++i;
    if (i == program.outputs.size()) {
      return Status::failure("the program has no output " + from.name);
    }
    const Status status = compare(from, session->output(i), artifact.manifest().canary);
    if (!status.ok()) return status;
  }
  return Status::success();
}

}  // namespace lamella
