// What the manifest says that running a program needs.
//
// Mirrors FORMAT.md, section 5. Keys that are not named there are free and not kept: who needs one
// reads the section with JsonDocument.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/span.h"
#include "base/status.h"
#include "engine/file/dtype.h"
#include "engine/file/json.h"

namespace lamella::file {

inline constexpr std::size_t kMostAxes = 8;

// An axis of an input or output: a size, the name of a size, or neither where any size goes.
struct Axis {
  std::optional<std::uint64_t> size;
  std::string name;
};

struct Port {
  std::string name;
  Dtype dtype = Dtype::kBool;
  std::vector<Axis> shape;
};

// How far outputs may lie from the canary's on another processor: any element, and any output.
struct Tolerance {
  double max_abs_error = 0;
  std::optional<double> min_cosine;
};

// How a language model begins, ends, and how many tokens it holds.
struct Generation {
  std::vector<std::int64_t> eos_token_ids;
  std::optional<std::int64_t> bos_token_id;
  std::optional<std::int64_t> context_length;
};

struct Manifest {
  std::string lamella;  // the version that wrote the file
  std::string target;   // which runner opens the program
  std::string model;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
  Tolerance canary;
  Generation generation;
};

// Checks every key that FORMAT.md names; `text` is the section.
Status read_manifest(Span<std::uint8_t> text, Manifest* manifest);

}  // namespace lamella::file
