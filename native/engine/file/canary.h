// The canary: inputs, and the outputs that the program gave for them where it was packed.
//
// Mirrors FORMAT.md, section 6.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/span.h"
#include "base/status.h"
#include "engine/file/dtype.h"
#include "engine/file/manifest.h"

namespace lamella::file {

struct CanaryTensor {
  std::string name;
  Dtype dtype = Dtype::kBool;
  std::vector<std::uint64_t> shape;
  // Of the whole tensor: elements are row-major and little-endian.
  std::size_t bytes = 0;
  // A view of the file, at a multiple of 64 from its start. Byte i of the tensor is byte
  // i % stored.size() of it.
  Span<std::uint8_t> stored{nullptr, 0};

  // Writes all `bytes` of the tensor.
  void copy_to(std::uint8_t* out) const;
};

// Tensors are in the order of their names.
struct Canary {
  std::vector<CanaryTensor> inputs;
  std::vector<CanaryTensor> outputs;
};

// Checks that index and tensors describe each other, and that they fit the manifest.
Status read_canary(Span<std::uint8_t> index, Span<std::uint8_t> tensors, const Manifest& manifest,
                   Canary* canary);

}  // namespace lamella::file
