#include "engine/check.h"

namespace lamella {
namespace {

std::string joined(const std::size_t* sizes, std::size_t count) {
  std::string text = "(";
  for (std::size_t i = 0; i < count; ++i) {
    text += (i == 0 ? "" : ", ") + (sizes[i] == kAny ? "any" : std::to_string(sizes[i]));
  }
  return text + ")";
}

bool fits(const Tensor& tensor, std::initializer_list<std::size_t> sizes) {
  if (tensor.rank != sizes.size()) return false;
  const std::size_t* size = tensor.sizes;
  for (const std::size_t wanted : sizes) {
    if (*size++ != wanted && wanted != kAny) return false;
  }
  return true;
}

}  // namespace

const char* name_of(DType dtype) {
  constexpr const char* kNames[] = {"float32", "float16", "int8", "uint8",
                                    "int32",   "int64",   "bool"};
  return kNames[static_cast<std::size_t>(dtype)];
}

std::string text_of(const Tensor& tensor) {
  return name_of(tensor.dtype) + (" " + joined(tensor.sizes, tensor.rank));
}

Check::Check(const Call& call, const Arity& arity) : call_(call) {
  if (call.operands.size() != arity.operands || call.written != arity.written ||
      call.integers.size() != arity.integers || call.numbers.size() != arity.numbers) {
    fault_ = "it has another number of operands, results, integers or numbers than this version";
  }
  for (std::size_t i = 0; ok() && i < arity.written; ++i) {
    const std::size_t at = arity.operands - arity.written + i;
    // A result that may be left out is checked by the operation.
    if (i == 0) require(call.operands[at] != nullptr, "it has no result");
  }
}

Check& Check::array(std::size_t i, DType dtype, std::initializer_list<std::size_t> sizes) {
  if (!kind(i, dtype).ok() || fits(*call_.operands[i], sizes)) return *this;
  fault_ = "operand " + std::to_string(i) + " must have the sizes " +
           joined(sizes.begin(), sizes.size()) + ", not " + text_of(*call_.operands[i]);
  return *this;
}

Check& Check::kind(std::size_t i, DType dtype) {
  if (!ok()) return *this;
  const Tensor* tensor = call_.operands[i];
  if (tensor == nullptr) {
    fault_ = "operand " + std::to_string(i) + " is missing";
  } else if (tensor->dtype != dtype) {
    fault_ = "operand " + std::to_string(i) + " must be " + name_of(dtype) + ", not " +
             name_of(tensor->dtype);
  }
  return *this;
}

Check& Check::optional(std::size_t i, DType dtype, std::initializer_list<std::size_t> sizes) {
  return !ok() || call_.operands[i] == nullptr ? *this : array(i, dtype, sizes);
}

Check& Check::same(std::size_t i, std::size_t j, bool rows) {
  if (!ok()) return *this;
  const Tensor &a = *call_.operands[i], &b = *call_.operands[j];
  bool equal = a.rank == b.rank && (!rows || a.rank != 0);
  for (std::size_t k = 0; equal && k + (rows ? 1 : 0) < a.rank; ++k) {
    equal = a.sizes[k] == b.sizes[k];
  }
  return require(equal, "two of its arrays have different sizes");
}

Check& Check::integer(std::size_t i, std::int64_t least, std::int64_t most) {
  if (!ok()) return *this;
  const std::int64_t value = call_.integers[i];
  if (value < least || value > most) {
    fault_ = "its integer " + std::to_string(i) + " must lie from " + std::to_string(least) +
             " to " + std::to_string(most) + ", not " + std::to_string(value);
  }
  return *this;
}

Check& Check::require(bool holds, const char* sentence) {
  if (ok() && !holds) fault_ = sentence;
  return *this;
}

}  // namespace lamella
