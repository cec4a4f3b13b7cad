// Runs the selected float kernels on cases from a file and writes what they give to stdout, so that
// another build, or another processor, can be compared with this one bit for bit.
//
// A case is four little-endian 32-bit numbers (rows, cols, heads, half) and the arrays of
// test_float_builds.py in its order; the answers are in the order of `answer`. Each is computed
// twice, into an array of its own and in place. Every array has its exact size, so that a sanitizer
// sees a step too far.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <vector>

#include "base/isa.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/rope/rope.h"
#include "kernels/softmax/softmax.h"

namespace {

using Floats = std::vector<float>;

template <typename Item>
std::vector<Item> read(std::istream& in, std::size_t size) {
  std::vector<Item> items(size);
  in.read(reinterpret_cast<char*>(items.data()), static_cast<std::streamsize>(size * sizeof(Item)));
  return items;
}

void write(const Floats& items) {
  std::cout.write(reinterpret_cast<const char*>(items.data()),
                  static_cast<std::streamsize>(items.size() * sizeof(float)));
}

// Calls run(x, y) with two arrays and with one.
template <typename Run>
void both(const Floats& x, Run run) {
  Floats apart(x.size());
  run(x.data(), apart.data());
  write(apart);
  Floats in_place = x;
  run(in_place.data(), in_place.data());
  write(in_place);
}

void answer_elementwise(const lamella::ElementwiseCalls& calls, const Floats& a, const Floats& b) {
#define LAMELLA_UNARY(name) both(a, [&](const float* x, float* y) { calls.name(a.size(), x, y); });
#define LAMELLA_BINARY(name) \
  both(a, [&](const float* x, float* y) { calls.name(a.size(), x, b.data(), y); });
#include "kernels/elementwise/operations.inc"
#undef LAMELLA_UNARY
#undef LAMELLA_BINARY
}

void answer(lamella::IsaSet allowed, const std::vector<std::uint32_t>& head, std::istream& in) {
  const std::size_t rows = head[0];
  const std::size_t cols = head[1];
  const Floats a = read<float>(in, rows * cols);
  const Floats b = read<float>(in, rows * cols);
  const Floats weight = read<float>(in, cols);
  const Floats bias = read<float>(in, cols);
  answer_elementwise(*lamella::elementwise_select(allowed).calls, a, b);
  both(a,
       [&](const float* x, float* y) { lamella::softmax_select(allowed).run(rows, cols, x, y); });
  both(a, [&](const float* x, float* y) {
    lamella::rmsnorm_select(allowed).run(rows, cols, x, {weight.data(), 1e-5f}, y);
  });
  both(a, [&](const float* x, float* y) {
    lamella::layernorm_select(allowed).run(rows, cols, x, {weight.data(), bias.data(), 1e-5f}, y);
  });
  const lamella::RopeShape shape{rows, head[2], head[3]};
  const Floats heads = read<float>(in, rows * shape.heads * 2 * shape.half);
  const Floats cosine = read<float>(in, rows * shape.half);
  const Floats sine = read<float>(in, rows * shape.half);
  const auto position = read<std::int32_t>(in, rows);
  const lamella::RopeTables tables{cosine.data(), sine.data(), position.data()};
  both(heads,
       [&](const float* x, float* y) { lamella::rope_select(allowed).run(shape, x, tables, y); });
}

}  // namespace

int main(int count, char** arguments) {
  lamella::IsaSet allowed = lamella::isa::kNone;
  const lamella::Status status = lamella::allowed_isa(&allowed);
  if (count != 2 || !status.ok()) {
    std::fprintf(stderr, "usage: float_probe CASES; %s\n", status.sentence().c_str());
    return 2;
  }
  std::fprintf(stderr, "%s %s %s %s %s\n", lamella::elementwise_select(allowed).name,
               lamella::softmax_select(allowed).name, lamella::rmsnorm_select(allowed).name,
               lamella::layernorm_select(allowed).name, lamella::rope_select(allowed).name);
  std::ifstream in(arguments[1], std::ios::binary);
  while (in.peek() != std::char_traits<char>::eof()) {
    answer(allowed, read<std::uint32_t>(in, 4), in);
  }
  return 0;
}
