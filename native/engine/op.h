// What the engine knows of an operation: how to check a call, what it needs, and how to run it.
//
// To add an operation, write its Op in ops/<file>.cc, add one row to ops.inc and one to the table
// of PROGRAM.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/isa.h"
#include "base/status.h"
#include "base/threads.h"
#include "engine/types.h"

namespace lamella {

// A call of a program with its arrays. An operand that is left out is null.
struct Call {
  std::vector<const Tensor*> operands;
  std::vector<std::int64_t> integers;
  std::vector<float> numbers;
  std::size_t written;  // how many operands, the last ones, are results

  // Operands and results are counted from 0 each.
  const Tensor* operand(std::size_t i) const { return operands[i]; }
  const Tensor& result(std::size_t i = 0) const { return *operands[operands.size() - written + i]; }
};

// What a call runs with. Kernels are those that `isa` allows.
struct Context {
  ThreadPool* pool;  // null for a single thread
  IsaSet isa;
  std::uint8_t* scratch;  // as many bytes as `scratch` of the operation says, at a multiple of 64

  std::size_t threads() const { return pool == nullptr ? 1 : pool->threads(); }
};

struct Op {
  const char* name;
  std::uint16_t version;
  // Whether the numbers and sizes of a call fit; called before run() whenever a size has changed.
  Status (*check)(const Call& call);
  // Bytes of memory that a checked call needs while it runs; null for none.
  std::size_t (*scratch)(const Call& call, std::size_t threads);
  // Fails only for what sizes do not show, for example an id that a table does not have.
  Status (*run)(const Call& call, const Context& context);
};

// The operation of this name and version, or null.
const Op* find_op(const std::string& name, std::uint16_t version);

// Every operation of this build, in the order of ops.inc.
const std::vector<const Op*>& all_ops();

}  // namespace lamella
