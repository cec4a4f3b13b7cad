// embed: gathers rows of a table as float32: y[t] = table[id[t]].
//
// A packed table is the weight of linear_a8, tile for tile, so that a model whose embedding and
// head are tied stores them once: y[t][c] = scale * float(code - zero), rounded once. A table of
// half floats or floats gives exactly its values.
//
// There is one kernel: a step of a decoder reads one row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"
#include "base/threads.h"
#include "kernels/linear_a8/linear_a8.h"

namespace lamella {

// A (rows, cols) table; one of the three pointers is not null.
struct EmbedTable {
  std::size_t cols;
  const LinearWeight* packed;
  const std::uint16_t* half;
  const float* single;
};

// Shapes: id (tokens), each a row of the table; y (tokens, cols).
struct EmbedCall {
  EmbedTable table;
  const std::int32_t* id;
  float* y;
};

// Writes the rows of a slice of tokens.
using EmbedFn = void (*)(const EmbedCall& call, Slice tokens);

struct EmbedKernel : Kernel {
  EmbedFn run;
};

Span<EmbedKernel> embed_kernels();
const EmbedKernel& embed_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) void name(const EmbedCall& call, Slice tokens);
#include "kernels/embed/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
