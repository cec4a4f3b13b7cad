// Prints one line for each case of `kOperations`: operation, shape, seed, hash of the output bits.
// Inputs come from an integer generator, so that they are the same bits on every processor.
//
// To add an operation, add one row to `kOperations`; `python tests/native/vectors.py` writes the
// file that every build must repeat. Arguments: "small" for the first shape of each operation,
// "all", or "allocating" for nothing but a kernel that allocates, which is to be refused. The
// selected kernels go to stderr.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/isa.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/pack/pack.h"
#include "kernels/peak/peak.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/rope/rope.h"
#include "kernels/softmax/softmax.h"
#include "probe_io.h"
#include "vectors_arrays.h"
#include "vectors_case.h"
#include "vectors_decoder.h"
#include "vectors_layers.h"
#include "vectors_linear.h"
#include "vectors_static.h"

namespace {

using namespace lamella;
using namespace lamella::vectors;

// Shape: rows, cols, bits, group.
void run_pack(const Case& one) {
  const PackKernel& kernel = pack_select(one.allowed);
  const std::size_t rows = one.shape[0], cols = one.shape[1], group = one.shape[3];
  const PackShape shape{rows, cols, static_cast<int>(one.shape[2])};
  const Bytes codes = one.draw.codes(rows * cols, shape.bits);
  Bytes packed(rows * packed_row_bytes(cols, shape.bits)), unpacked(codes.size());
  const Bytes mask = one.draw.codes(rows * packed_row_bytes(cols, 1), 8);
  const MaskShape masked{rows, cols, kept_codes(rows, cols, mask.data())};
  Bytes kept(masked.kept), restored(codes.size());
  const Bytes zero = one.draw.codes(rows * groups_of(cols, group), shape.bits);
  run_kernel(kernel, [&] {
    kernel.calls->pack(shape, codes.data(), packed.data());
    kernel.calls->unpack(shape, packed.data(), unpacked.data());
    kernel.calls->compact(masked, codes.data(), mask.data(), kept.data());
    kernel.calls->expand(masked, kept.data(), mask.data(), {zero.data(), group}, restored.data());
  });
  for (const Bytes& part : {packed, unpacked, kept, restored}) one.hash.add(part);
}

// Shape: rows, cols. Numbers, then any patterns.
template <typename Kernel, typename Run>
void run_rows(const Case& one, const Kernel& kernel, const Run& run) {
  const std::size_t size = one.shape[0] * one.shape[1];
  for (const Floats& x : {one.draw.reals(size), one.draw.patterns(size)}) {
    Floats y(size);
    run_kernel(kernel, [&] { run(x.data(), y.data()); });
    one.hash.add(y);
  }
}

void run_softmax(const Case& one) {
  const SoftmaxKernel& kernel = softmax_select(one.allowed);
  run_rows(one, kernel,
           [&](const float* x, float* y) { kernel.run(one.shape[0], one.shape[1], x, y); });
}

void run_rmsnorm(const Case& one) {
  const RmsnormKernel& kernel = rmsnorm_select(one.allowed);
  const Floats weight = one.draw.reals(one.shape[1]);
  run_rows(one, kernel, [&](const float* x, float* y) {
    kernel.run(one.shape[0], one.shape[1], x, {weight.data(), 0x1p-17f}, y);
  });
}

void run_layernorm(const Case& one) {
  const LayernormKernel& kernel = layernorm_select(one.allowed);
  const Floats weight = one.draw.reals(one.shape[1]), bias = one.draw.reals(one.shape[1]);
  run_rows(one, kernel, [&](const float* x, float* y) {
    kernel.run(one.shape[0], one.shape[1], x, {weight.data(), bias.data(), 0x1p-17f}, y);
  });
}

template <UnaryFn ElementwiseCalls::* kFunction>
void run_unary(const Case& one) {
  const ElementwiseKernel& kernel = elementwise_select(one.allowed);
  run_rows(one, kernel, [&](const float* x, float* y) {
    (kernel.calls->*kFunction)(one.shape[0] * one.shape[1], x, y);
  });
}

template <BinaryFn ElementwiseCalls::* kFunction>
void run_binary(const Case& one) {
  const ElementwiseKernel& kernel = elementwise_select(one.allowed);
  const std::size_t size = one.shape[0] * one.shape[1];
  const Floats b = one.draw.reals(size);
  const Broadcast shape = plan_broadcast({&size, 1}, {&size, 1});
  run_rows(one, kernel, [&](const float* a, float* y) {
    (kernel.calls->*kFunction)(shape, a, b.data(), y, {0, size});
  });
}

// Shape: tokens, heads, half; as many positions as tokens, in falling order.
void run_rope(const Case& one) {
  const RopeKernel& kernel = rope_select(one.allowed);
  const RopeShape shape{one.shape[0], one.shape[1], one.shape[2]};
  const Floats x = one.draw.reals(shape.tokens * shape.heads * 2 * shape.half);
  const Floats cosine = one.draw.reals(shape.tokens * shape.half);
  const Floats sine = one.draw.reals(shape.tokens * shape.half);
  std::vector<std::int32_t> position(shape.tokens);
  for (std::size_t i = 0; i < shape.tokens; ++i) {
    position[i] = static_cast<std::int32_t>(shape.tokens - 1 - i);
  }
  Floats y(x.size());
  const RopeTables tables{cosine.data(), sine.data(), position.data()};
  run_kernel(kernel, [&] { kernel.run(shape, x.data(), tables, y.data()); });
  one.hash.add(y);
}

// Shape: rounds, weight, input.
template <int kBits>
void run_peak(const Case& one) {
  const PeakKernel& kernel = peak_select(kBits, one.allowed);
  const PeakOperands operands{static_cast<int>(one.shape[1]), static_cast<int>(one.shape[2])};
  std::vector<std::uint32_t> sum(1);
  run_kernel(kernel, [&] { sum[0] = kernel.run(one.shape[0], operands); });
  one.hash.add(sum);
}

struct Operation {
  const char* name;
  void (*run)(const Case& one);
  std::vector<Shape> shapes;
};

// Around the widths of registers and blocks; the first of each is the small set.
const std::vector<Shape> kRows = {{3, 33}, {1, 1}, {4, 15}, {2, 16}, {2, 17}, {2, 576}};
const std::vector<Shape> kLinear = {{5, 129, 19, 32},  {1, 64, 8, 0},  {2, 96, 17, 64},
                                    {9, 300, 24, 128}, {3, 33, 9, 16}, {16, 576, 40, 64},
                                    {1, 160, 16, 16}};
// Groups, images smaller than the kernel, pixels alone, every kind of output, activations.
const std::vector<Shape> kConv2d = {
    {1, 5, 6, 7, 9, 2, 3, 2, 1, 1, 1},   {2, 1, 1, 33, 17, 1, 1, 1, 0, 1, 0},
    {1, 4, 7, 64, 16, 1, 1, 1, 0, 1, 2}, {1, 2, 9, 3, 24, 1, 5, 1, 3, 2, 1},
    {2, 6, 6, 40, 8, 3, 3, 1, 1, 1, 2},  {1, 4, 5, 24, 17, 1, 1, 1, 0, 1, 7},
    {1, 5, 4, 9, 20, 1, 3, 1, 1, 1, 11}, {1, 3, 5, 33, 9, 2, 1, 1, 0, 1, 12}};
// Tokens, cols, rows, group, activation.
const std::vector<Shape> kLinearFloat = {
    {4, 45, 19, 16, 1}, {1, 100, 70, 32, 0}, {7, 33, 9, 0, 2}, {13, 64, 33, 128, 3}};

const Operation kOperations[] = {
    {"pack", &run_pack, {{3, 129, 4, 16}, {2, 31, 3, 32}, {5, 64, 2, 64}, {2, 576, 6, 128}}},
    {"linear_input", &run_linear_input, {{3, 100}, {1, 1}, {2, 32}, {4, 576}}},
    {"linear_w2a8", &run_linear<2>, kLinear},
    {"linear_w3a8", &run_linear<3>, kLinear},
    {"linear_w4a8", &run_linear<4>, kLinear},
    {"linear_w5a8", &run_linear<5>, kLinear},
    {"linear_w6a8", &run_linear<6>, kLinear},
    {"linear_w8a8", &run_linear<8>, kLinear},
#define LAMELLA_UNARY(name) {#name, &run_unary<&ElementwiseCalls::name>, kRows},
#define LAMELLA_BINARY(name) {#name, &run_binary<&ElementwiseCalls::name>, kRows},
#include "kernels/elementwise/operations.inc"
    {"softmax", &run_softmax, kRows},
    {"rmsnorm", &run_rmsnorm, kRows},
    {"layernorm", &run_layernorm, kRows},
    {"rope", &run_rope, {{3, 2, 17}, {1, 1, 1}, {2, 3, 16}, {4, 2, 64}}},
    {"attention",
     &run_attention,
     {{2, 4, 19, 2, 33, 3, 1, 6},
      {1, 3, 33, 1, 64, 0, 0, 1},
      {3, 2, 17, 2, 16, 2, 3, 0},
      {2, 6, 5, 3, 47, 1, 2, 3},
      {1, 9, 40, 3, 64, 1, 0, 0}}},
    {"kv_store", &run_kv_store, {{3, 2, 33, 3}, {2, 1, 64, 0}, {4, 2, 17, 1}, {3, 1, 47, 2}}},
    {"embed",
     &run_embed,
     {{9, 49, 3, 16},
      {8, 33, 2, 32},
      {3, 96, 4, 64},
      {9, 130, 5, 128},
      {17, 40, 6, 0},
      {5, 33, 8, 16},
      {4, 21, 16, 0},
      {4, 21, 32, 0}}},
    {"sample",
     &run_sample,
     {{100, 8, 20, 48}, {1, 8, 0, 64}, {300, 16, 0, 64}, {300, 4, 7, 64}, {300, 32, 0, 60}}},
    {"conv2d_w4a8", &run_conv2d<4>, kConv2d},
    {"conv2d_w6a8", &run_conv2d<6>, kConv2d},
    {"conv2d_w8a8", &run_conv2d<8>, kConv2d},
    {"depthwise_w8a8",
     &run_depthwise_a8,
     {{1, 5, 6, 19, 3, 2, 1, 1, 1},
      {2, 4, 4, 16, 1, 1, 0, 1, 0},
      {1, 7, 9, 33, 5, 1, 2, 1, 2},
      {1, 3, 8, 8, 3, 1, 2, 2, 1},
      {1, 5, 5, 33, 3, 1, 1, 1, 19},
      {2, 4, 4, 17, 3, 1, 1, 1, 15}}},
    {"linear_f32", &run_linear_float<FloatKind::kF32>, kLinearFloat},
    {"linear_f16", &run_linear_float<FloatKind::kF16>, kLinearFloat},
    {"linear_w4f32", &run_linear_float<FloatKind::kW4>, kLinearFloat},
    {"linear_w8f32", &run_linear_float<FloatKind::kW8>, kLinearFloat},
    {"sparse_linear_w4a8", &run_sparse<4>, kLinear},
    {"sparse_linear_w8a8", &run_sparse<8>, kLinear},
    {"conv2d_f32",
     &run_conv2d_f32,
     {{1, 5, 6, 4, 18, 2, 3, 1, 1, 1},
      {2, 4, 17, 18, 70, 1, 1, 1, 0, 1},
      {1, 6, 17, 3, 33, 1, 3, 2, 1, 1},
      {1, 3, 5, 2, 9, 1, 3, 1, 2, 2}}},
    {"depthwise_f32",
     &run_depthwise_f32,
     {{1, 5, 6, 19, 3, 1, 1, 1}, {2, 4, 9, 16, 5, 2, 2, 1}, {1, 3, 5, 33, 3, 1, 2, 2}}},
    {"pool2d", &run_pool2d, {{1, 5, 6, 19, 3, 2, 1, 1}, {2, 4, 4, 16, 4, 1, 0, 1}}},
    {"quantize", &run_quantize, {{5, 33, 0}, {7, 16, 1}, {1, 1, 0}, {37, 3, 1}, {67, 1, 1}}},
    {"broadcast", &run_broadcast, {{2, 3, 33}, {4, 1, 17}, {1, 5, 16}, {3, 7, 1}}},
    {"transpose", &run_transpose, {{1, 3, 37, 18}, {2, 2, 9, 65}, {4, 5, 70, 7}, {1, 33, 17, 4}}},
    {"peak_w4a8", &run_peak<4>, {{3, 15, 127}, {1, 1, 1}}},
    {"peak_w8a8", &run_peak<8>, {{3, 127, 127}, {1, 1, 1}}},
    {"peak_f32", &run_peak<32>, {{3, 5, 7}, {1, 1, 1}}},
};

void print_case(const Operation& operation, std::size_t index, IsaSet allowed) {
  const Shape& shape = operation.shapes[index];
  const std::uint64_t seed = index + 1;
  Draw draw(seed);
  Hash hash;
  operation.run({shape, draw, hash, allowed});
  std::string text;
  for (const std::size_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  std::printf("%s\t%s\t%" PRIu64 "\t%016" PRIx64 "\n", operation.name, text.c_str(), seed,
              hash.value());
}

}  // namespace

int main(int count, char** arguments) {
  IsaSet allowed = isa::kNone;
  if (!probe::start(count, arguments, &allowed)) return 2;
  probe::watch_allocations();
  if (std::strcmp(arguments[1], "allocating") == 0) {
    run_kernel(Kernel{"allocating", isa::kNone}, [] { Bytes(12); });
    return 0;
  }
  const bool small = std::strcmp(arguments[1], "small") == 0;
  for (const Operation& operation : kOperations) {
    const std::size_t cases = small ? 1 : operation.shapes.size();
    for (std::size_t index = 0; index < cases; ++index) print_case(operation, index, allowed);
  }
  return 0;
}
