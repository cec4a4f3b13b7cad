// The first thing that is wrong with a call, as a sentence.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>

#include "engine/op.h"

namespace lamella {

// How many of each a call has; `written` of the operands are results.
struct Arity {
  std::size_t operands;
  std::size_t written;
  std::size_t integers = 0;
  std::size_t numbers = 0;
};

// After the first fault nothing more is looked at, so that what is checked later may rely on what
// was checked before by asking ok().
class Check {
 public:
  Check(const Call& call, const Arity& arity);

  bool ok() const { return fault_.empty(); }
  Status status() const { return ok() ? Status::success() : Status::failure(fault_); }

  // Operand i is there, has this dtype and these sizes; kAny stands for any size.
  Check& array(std::size_t i, DType dtype, std::initializer_list<std::size_t> sizes);
  // Operand i is there and has this dtype, whatever its sizes.
  Check& kind(std::size_t i, DType dtype);
  // The same for an operand that may be left out.
  Check& optional(std::size_t i, DType dtype, std::initializer_list<std::size_t> sizes);
  // Operands i and j have the same sizes, but for the last axis if `rows`.
  Check& same(std::size_t i, std::size_t j, bool rows = false);
  // Integer i lies from least to most.
  Check& integer(std::size_t i, std::int64_t least, std::int64_t most);
  // Anything else that must hold.
  Check& require(bool holds, const char* sentence);

 private:
  const Call& call_;
  std::string fault_;
};

inline constexpr std::size_t kAny = SIZE_MAX;

const char* name_of(DType dtype);
std::string text_of(const Tensor& tensor);

}  // namespace lamella
