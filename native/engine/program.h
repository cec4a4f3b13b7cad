// A program as PROGRAM.md describes it: parsed and checked, but not yet bound to operations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/span.h"
#include "base/status.h"
#include "engine/types.h"

namespace lamella {

enum class Origin : std::uint8_t { kInput, kOpening };

struct Symbol {
  std::string name;
  Origin origin;
  std::uint32_t least;
  std::uint32_t most;
};

// A size: add + mul * the product of the symbols whose bits are set in `mask`.
struct Axis {
  std::int64_t add;
  std::int64_t mul;
  std::uint32_t mask;
};

enum class Place : std::uint8_t { kArena, kWeights, kInput, kState };

struct Value {
  DType dtype;
  Place place;
  std::uint64_t offset;
  std::size_t rank;
  Axis axes[kMostAxes];
};

inline constexpr std::uint32_t kNone = UINT32_MAX;

struct Port {
  std::string name;
  std::uint32_t value;
};

struct CallRow {
  std::uint16_t operation;
  std::uint32_t label;
  std::vector<std::uint32_t> operands;  // kNone where one is left out
  std::vector<std::int64_t> integers;
  std::vector<float> numbers;
  std::size_t written;  // how many operands, the last ones, are results
};

struct OperationName {
  std::string name;
  std::uint16_t version;
};

struct Program {
  std::vector<Symbol> symbols;
  std::vector<OperationName> operations;
  std::vector<std::string> labels;
  std::vector<Value> values;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
  std::vector<CallRow> calls;
  std::uint64_t arena;
  std::uint64_t weights;
};

// Reads program.bin. What a program says is then within its own tables; sizes and operations are
// for the session to check.
Status read_program(Span<std::uint8_t> bytes, Program* program);

// The size of an axis for sizes of the symbols, or -1 where it is not in [0, 2^31).
std::int64_t size_of(const Axis& axis, const std::vector<std::uint32_t>& symbols);

}  // namespace lamella
