// Compares every kernel for integer dots that this processor runs with exact int32 arithmetic, on
// random tiles. Every scale is 1 and every sum below 2^24, so that outputs are the sums themselves.
//
// The argument is how many tiles each kernel gets: 8 rows and 32 columns, or 16 channels and a
// window. Prints each kernel, and how many tiles it got or that this processor lacks what it needs.
// Exits with 1 and a sentence at the first sum that differs.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "kernels/conv2d_a8/conv2d_a8.h"
#include "kernels/depthwise_a8/depthwise_a8.h"
#include "kernels/linear_a8/linear_a8.h"
#include "kernels/sparse_linear_a8/sparse_linear_a8.h"
#include "probe_io.h"
#include "vectors_case.h"

namespace {

using namespace lamella;
using vectors::Bytes;
using vectors::Draw;
using vectors::Floats;
using Ints = std::vector<std::int32_t>;

// What a round has of each; enough for every loop of a kernel to end early and late.
constexpr std::size_t kStrips = 61, kRows = kStrips * kStripRows;
constexpr std::size_t kMostBlocks = 3, kMostTokens = 9;

// Half of the rounds have only the least code and the greatest, by turns alone and in whole blocks,
// which gives the largest sums.
Bytes draw_codes(Draw& draw, std::size_t round, std::size_t count, int bits) {
  Bytes codes = draw.codes(count, bits);
  const std::size_t cycle = round / (kMostBlocks * kMostTokens);
  if (cycle % 2 != 0) return codes;
  const auto greatest = static_cast<std::uint8_t>((1 << bits) - 1);
  const std::size_t run = cycle % 4 == 0 ? kBlockCols : 1;
  for (std::size_t i = 0; i < count; ++i) codes[i] = codes[i / run * run] % 2 != 0 ? greatest : 0;
  return codes;
}

// The sums of (rows, cols) weights with each of (tokens, cols) inputs, as (tokens, rows).
template <typename Input>
Ints dots(const Ints& weights, const std::vector<Input>& inputs, std::size_t cols) {
  Ints sums;
  for (auto x = inputs.begin(); x != inputs.end(); x += static_cast<std::ptrdiff_t>(cols)) {
    for (auto w = weights.begin(); w != weights.end(); w += static_cast<std::ptrdiff_t>(cols)) {
      std::int32_t sum = 0;
      for (std::size_t i = 0; i < cols; ++i) {
        sum += w[static_cast<std::ptrdiff_t>(i)] * std::int32_t{x[static_cast<std::ptrdiff_t>(i)]};
      }
      sums.push_back(sum);
    }
  }
  return sums;
}

void compare(const char* kernel, const Floats& given, const Ints& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (given[i] == static_cast<float>(expected[i])) continue;
    std::fprintf(stderr, "%s gives %.9g instead of %d\n", kernel, static_cast<double>(given[i]),
                 static_cast<int>(expected[i]));
    std::exit(1);
  }
}

// The kernels of one width that are compared with the same sums.
template <typename Kernel>
using Kernels = std::vector<const Kernel*>;

// Calls check(kernels, round), which returns how many tiles it took, until there were `tiles`.
template <typename Kernel, typename Check>
void check_some(const Kernels<Kernel>& kernels, std::size_t tiles, const Check& check) {
  std::size_t done = 0;
  for (std::size_t round = 0; done < tiles; ++round) done += check(kernels, round);
  for (const Kernel* kernel : kernels) std::printf("%s\t%zu\n", kernel->name, done);
}

// Those of all kernels that run here and for which take(kernel); says which of them do not run.
template <typename Kernel, typename Take>
Kernels<Kernel> some_of(Span<Kernel> all, IsaSet allowed, const Take& take) {
  Kernels<Kernel> some;
  for (const Kernel& kernel : all) {
    if (!take(kernel)) continue;
    if (runs_on(kernel.needs, allowed)) {
      some.push_back(&kernel);
    } else {
      std::printf("%s\tuntested\n", kernel.name);
    }
  }
  return some;
}

// The same for each width of weights that an operation has.
template <typename Kernel, typename Check>
void check_widths(Span<Kernel> all, IsaSet allowed, std::size_t tiles, const Check& check) {
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    const auto of_width = [bits](const Kernel& kernel) { return kernel.bits == bits; };
    const Kernels<Kernel> kernels = some_of(all, allowed, of_width);
    if (!kernels.empty()) check_some(kernels, tiles, check);
  }
}

// Inputs of linear layers, with the scale 1.
struct Inputs {
  Inputs(Draw& draw, std::size_t round, std::size_t tokens, std::size_t cols)
      : plain(tokens * cols),
        codes(tokens * token_bytes(cols)),
        scale(tokens * blocks_of(cols), 1.0f),
        sum(scale.size()),
        input{tokens, cols, codes.data(), scale.data(), sum.data()} {
    const Bytes drawn = draw_codes(draw, round, plain.size(), 8);
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const std::size_t token = i / cols, col = i % cols;
      plain[i] = static_cast<std::int8_t>(std::max(int{drawn[i]} - 128, -127));
      codes[token * token_bytes(cols) + col] = plain[i];
      sum[col / kBlockCols * tokens + token] += plain[i];
    }
  }

  std::vector<std::int8_t> plain, codes;
  Floats scale;
  Ints sum;
  LinearInput input;
};

// A weight of linear_a8 whose scales are 1, and with zero points of rows.
struct Tiles {
  Tiles(Draw& draw, std::size_t round, std::size_t cols, int bits)
      : codes(draw_codes(draw, round, kRows * cols, bits)),
        zero(draw_codes(draw, round, kRows, bits)),
        tiles(kStrips * blocks_of(cols) * tile_bytes(bits)),
        scale(kRows, 1.0f),
        weight{kRows,        cols,    bits,         1,          grid_shift_of(0),
               tiles.data(), nullptr, scale.data(), zero.data()} {
    pack_tiles(kRows, cols, bits, codes.data(), tiles.data());
    for (std::size_t i = 0; i < codes.size(); ++i) plain.push_back(codes[i] - zero[i / cols]);
  }

  Bytes codes, zero, tiles;
  Floats scale;
  Ints plain;
  LinearWeight weight;
};

// The same for sparse_linear_a8; about half of the codes are kept.
struct SparseTiles : Tiles {
  SparseTiles(Draw& draw, std::size_t round, std::size_t cols, int bits)
      : Tiles(draw, round, cols, bits),
        masks(kStrips * blocks_of(cols) * kPairs),
        kept(tiles.size() + kSparsePadding) {
    const Bytes keep = draw.codes(codes.size(), 1);
    pack_sparse_masks(kRows, cols, keep.data(), masks.data());
    const std::size_t count = masks.size() / kPairs;
    for_each_start(count, bits, masks.data(), [&](std::size_t, std::size_t at) {
      starts.push_back(static_cast<std::uint32_t>(at));
    });
    pack_sparse_codes(count, bits, tiles.data(), masks.data(), kept.data());
    weight.codes = kept.data();
    weight.masks = masks.data();
    weight.starts = starts.data();
    for (std::size_t i = 0; i < keep.size(); ++i) plain[i] *= keep[i];
  }

  std::vector<std::uint64_t> masks;
  std::vector<std::uint32_t> starts;
  Bytes kept;
};

// A round of linear_a8 or sparse_linear_a8. Returns its tiles.
template <typename Weight, typename Kernel>
std::size_t check_linear(const Kernels<Kernel>& kernels, std::size_t round) {
  Draw draw(round);
  const std::size_t blocks = 1 + round % kMostBlocks,
                    tokens = 1 + round / kMostBlocks % kMostTokens;
  const std::size_t cols = blocks * kBlockCols;
  const Weight tiles(draw, round, cols, kernels[0]->bits);
  const Inputs inputs(draw, round, tokens, cols);
  const Ints expected = dots(tiles.plain, inputs.plain, cols);
  for (const Kernel* kernel : kernels) {
    Floats y(expected.size());
    kernel->run({tiles.weight, inputs.input, nullptr, y.data()}, {0, kStrips});
    compare(kernel->name, y, expected);
  }
  return kStrips * blocks;
}

// What follows the sums of a static layer: nothing. `sum` are those of its weights.
struct Plain {
  explicit Plain(const Ints& sum) : offset(sum.size()), step(sum.size(), 1.0f), bias(sum.size()) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    epilogue = {offset.data(), sum.data(), step.data(), bias.data(), -kInfinity,        kInfinity,
                false,         0,          0.0f,        0,           Activation::kNone, 1.0f};
  }

  Ints offset;
  Floats step, bias;
  Epilogue epilogue;
};

// A round of conv2d_a8: 1 x 1 over a line of pixels. Returns its tiles.
std::size_t check_conv2d(const Kernels<Conv2dKernel>& kernels, std::size_t round) {
  Draw draw(round);
  const std::size_t blocks = 1 + round % kMostBlocks,
                    pixels = 1 + round / kMostBlocks % kMostTokens;
  const std::size_t cols = blocks * kBlockCols;
  const int bits = kernels[0]->bits;
  const Conv2dSize size{1, kRows, 1, cols, bits};
  const Bytes codes = draw_codes(draw, round, kRows * cols, bits);
  Ints weights(codes.begin(), codes.end());
  for (std::int32_t& weight : weights) weight -= 1 << (bits - 1);
  const Bytes x = draw_codes(draw, round, pixels * cols, 8), zeros(cols);
  Bytes tiles(size.strips() * size.strip_bytes());
  Ints sum(size.epilogue_rows());
  pack_conv2d(size, codes.data(), tiles.data(), sum.data());
  const Plain plain(sum);
  const Window window{1, {1, 1, 1, 1, 1, 0}, {pixels, pixels, 1, 1, 1, 0}};
  const Ints expected = dots(weights, x, cols);
  const Source source{x.data(), zeros.data(), cols};
  for (const Conv2dKernel* kernel : kernels) {
    Floats y(expected.size());
    kernel->run({{size, tiles.data()}, window, plain.epilogue, source, {nullptr, y.data()}},
                {0, pixels}, {0, kStrips});
    compare(kernel->name, y, expected);
  }
  return kStrips * blocks;
}

// A round of depthwise_a8: windows along a line of pixels. Returns its blocks of channels.
std::size_t check_depthwise(const Kernels<DepthwiseKernel>& kernels, std::size_t round) {
  Draw draw(round);
  const std::size_t taps = 1 + round % kMostTokens, outputs = 1 + round % 5;
  const std::size_t channels = kStrips * kDepthwiseBlock, pixels = outputs + taps - 1;
  const DepthwiseSize size{channels, taps};
  const Bytes codes = draw_codes(draw, round, channels * taps, 8);
  const Bytes x = draw_codes(draw, round, pixels * channels, 8), zeros(channels);
  Ints expected(outputs * channels);
  for (std::size_t i = 0; i < expected.size() * taps; ++i) {
    const std::size_t tap = i % taps, channel = i / taps % channels, at = i / taps / channels;
    expected[i / taps] += (codes[channel * taps + tap] - 128) * x[(at + tap) * channels + channel];
  }
  std::vector<std::int8_t> weights(size.pairs() * size.pair_bytes());
  Ints sum(size.stored_channels());
  pack_depthwise(size, codes.data(), weights.data(), sum.data());
  const Plain plain(sum);
  const Window window{1, {1, 1, 1, 1, 1, 0}, {pixels, outputs, taps, 1, 1, 0}};
  const Source source{x.data(), zeros.data(), channels};
  for (const DepthwiseKernel* kernel : kernels) {
    Floats y(expected.size());
    kernel->run({{size, weights.data()}, window, plain.epilogue, source, {nullptr, y.data()}},
                {0, outputs});
    compare(kernel->name, y, expected);
  }
  return kStrips;
}

}  // namespace

int main(int count, char** arguments) {
  IsaSet allowed = isa::kNone;
  if (!probe::start(count, arguments, &allowed)) return 2;
  const std::size_t tiles = std::strtoull(arguments[1], nullptr, 10);
  check_widths(linear_a8_kernels(), allowed, tiles, check_linear<Tiles, LinearKernel>);
  check_widths(sparse_linear_a8_kernels(), allowed, tiles,
               check_linear<SparseTiles, SparseLinearKernel>);
  check_widths(conv2d_a8_kernels(), allowed, tiles, check_conv2d);
  const auto any = [](const DepthwiseKernel&) { return true; };
  check_some(some_of(depthwise_a8_kernels(), allowed, any), tiles, check_depthwise);
  return 0;
}
