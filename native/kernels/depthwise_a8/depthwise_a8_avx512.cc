// depthwise_a8 with AVX-512 and VNNI. A quarter of a register has 16 channels of a position; the
// quarters are those of 1, 2 or 4 positions, so that few channels fill a register, too. The codes
// of four taps are interleaved within quarters, twice: then vpdpbusd adds the products of a
// channel, and register i has the channels 4 * i to 4 * i + 3 of each quarter.
#include "base/isa.h"

#if LAMELLA_AVX512

#include <algorithm>
#include <type_traits>

#include "base/avx512.h"
#include "kernels/depthwise_a8/depthwise_a8.h"
#include "kernels/math/shift.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

namespace lamella {
namespace {

#include "kernels/math/value_avx512.h"
#include "kernels/static/lanes_avx512.h"
// What follows is the same for every Value.
#include "kernels/static/epilogue_vector.h"

constexpr std::size_t kPositions = 8;
constexpr std::size_t kQuarters = 4;
constexpr std::size_t kMostQuads = (kMostTaps + 3) / 4;

// Blocks of 16 channels of a position in a register.
template <std::size_t kBlocks>
using Blocks = std::integral_constant<std::size_t, kBlocks>;

// Quarter i of register j becomes quarter j of register i.
LAMELLA_INLINE void swap_quarters(__m512i* v) {
  const __m512i low01 = _mm512_shuffle_i32x4(v[0], v[1], 0x44);
  const __m512i low23 = _mm512_shuffle_i32x4(v[2], v[3], 0x44);
  const __m512i high01 = _mm512_shuffle_i32x4(v[0], v[1], 0xee);
  const __m512i high23 = _mm512_shuffle_i32x4(v[2], v[3], 0xee);
  v[0] = _mm512_shuffle_i32x4(low01, low23, 0x88);
  v[1] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
  v[2] = _mm512_shuffle_i32x4(high01, high23, 0x88);
  v[3] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
}

// The weights of two taps and 16 channels, 32 bits for each channel.
inline __m512i load_pair(const std::int8_t* pair) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(pair)));
}

// Writes the weights of some channels, at most kBlocks * 16, in the order of the codes.
template <std::size_t kBlocks>
void spread_weights(const DepthwiseWeight& weight, std::size_t channel, __m512i* to) {
  const DepthwiseSize& size = weight.size;
  for (std::size_t pair = 0; pair < size.pairs(); pair += 2, to += kQuarters) {
    for (std::size_t i = 0; i < kQuarters; ++i) {
      to[i] = _mm512_setzero_si512();
      const std::size_t at = channel + i % kBlocks * kDepthwiseBlock;
      if (at >= size.channels) continue;
      const std::int8_t* from = weight.weights + pair * size.pair_bytes() + 2 * at;
      to[i] = load_pair(from);
      if (pair + 1 == size.pairs()) continue;
      const __m512i next = load_pair(from + size.pair_bytes());
      to[i] = _mm512_or_si512(to[i], _mm512_slli_epi32(next, 16));
    }
    swap_quarters(to);
  }
}

// Some channels of a layer and their weights.
struct Channels {
  std::size_t first;
  std::size_t count;
  const __m512i* weights;
};

LAMELLA_INLINE __m128i load_quarter(const std::uint8_t* codes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
}

LAMELLA_INLINE __m256i load_half(const std::uint8_t* codes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
}

// The codes of a tap: kBlocks * 16 channels, or those that exist, of 4 / kBlocks positions.
template <std::size_t kBlocks, bool kWhole>
LAMELLA_INLINE __m512i load_codes_of(const std::uint8_t* const* pixels, const Channels& channels) {
  const std::size_t at = channels.first;
  if constexpr (kBlocks == 1) {
    const __m256i low = _mm256_inserti128_si256(
        _mm256_castsi128_si256(load_quarter(pixels[0] + at)), load_quarter(pixels[1] + at), 1);
    const __m256i high = _mm256_inserti128_si256(
        _mm256_castsi128_si256(load_quarter(pixels[2] + at)), load_quarter(pixels[3] + at), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  } else if constexpr (kBlocks == 2) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(load_half(pixels[0] + at)),
                              load_half(pixels[1] + at), 1);
  } else if constexpr (kWhole) {
    return _mm512_loadu_si512(pixels[0] + at);
  } else {
    return _mm512_maskz_loadu_epi8((__mmask64{1} << channels.count) - 1, pixels[0] + at);
  }
}

// Writes the sums of 4 / kBlocks positions: 16 of each, and 16 channels kPositions * 16 after the
// 16 before.
template <std::size_t kBlocks, bool kWhole>
LAMELLA_INLINE void sum_positions(const Channels& channels, std::size_t taps, std::size_t chunk,
                                  const std::uint8_t* const* inputs, std::int32_t* to) {
  const __m512i none = _mm512_setzero_si512();
  __m512i sums[kQuarters] = {none, none, none, none};
  const __m512i* weights = channels.weights;
  for (std::size_t tap = 0; tap < taps; tap += 4, weights += kQuarters) {
    // The weights of a tap that does not exist are 0.
    const auto codes = [&](std::size_t i) {
      return load_codes_of<kBlocks, kWhole>(inputs + std::min(tap + i, taps - 1) * chunk, channels);
    };
    const __m512i a = codes(0), b = codes(1), c = codes(2), d = codes(3);
    const __m512i ab = _mm512_unpacklo_epi8(a, b), more_ab = _mm512_unpackhi_epi8(a, b);
    const __m512i cd = _mm512_unpacklo_epi8(c, d), more_cd = _mm512_unpackhi_epi8(c, d);
    sums[0] = _mm512_dpbusd_epi32(sums[0], _mm512_unpacklo_epi16(ab, cd), weights[0]);
    sums[1] = _mm512_dpbusd_epi32(sums[1], _mm512_unpackhi_epi16(ab, cd), weights[1]);
    sums[2] = _mm512_dpbusd_epi32(sums[2], _mm512_unpacklo_epi16(more_ab, more_cd), weights[2]);
    sums[3] = _mm512_dpbusd_epi32(sums[3], _mm512_unpackhi_epi16(more_ab, more_cd), weights[3]);
  }
  swap_quarters(sums);
  for (std::size_t i = 0; i < kQuarters; ++i) {
    const std::size_t place = i % kBlocks * kPositions + i / kBlocks;
    _mm512_storeu_si512(to + place * kDepthwiseBlock, sums[i]);
  }
}

// The outputs of some channels at the positions that `inputs` points to.
template <std::size_t kBlocks, bool kWhole>
void run_channels(const DepthwiseCall& call, const Channels& channels, std::size_t chunk,
                  const std::uint8_t* const* inputs, Slice positions) {
  const DepthwiseSize& size = call.weight.size;
  for (std::size_t at = positions.begin; at < positions.end; at += kPositions) {
    const std::size_t count = std::min(kPositions, positions.end - at);
    std::int32_t sums[kBlocks * kPositions * kDepthwiseBlock];
    // Up to the next multiple of 8 positions have pointers.
    for (std::size_t i = 0; i < count; i += kQuarters / kBlocks) {
      const std::uint8_t* const* from = inputs + (at - positions.begin) + i;
      sum_positions<kBlocks, kWhole>(channels, size.taps, chunk, from, sums + i * kDepthwiseBlock);
    }
    for (std::size_t i = 0; i < channels.count; i += kDepthwiseBlock) {
      const std::size_t first = channels.first + i;
      const Part part{first, std::min(kDepthwiseBlock, channels.count - i),
                      at * size.channels + first, size.channels, count};
      finish<0>(call.epilogue, part, sums + i * kPositions, call.output);
    }
  }
}

// The outputs of the channels from `first` on, as many as a register may have; returns how many.
inline std::size_t run_some(const DepthwiseCall& call, std::size_t first, std::size_t chunk,
                            const std::uint8_t* const* inputs, Slice positions) {
  __m512i weights[kMostQuads * kQuarters];
  const std::size_t left = call.weight.size.channels - first;
  const auto run = [&](auto blocks, auto whole, std::size_t count) {
    constexpr std::size_t kBlocks = decltype(blocks)::value;
    spread_weights<kBlocks>(call.weight, first, weights);
    const Channels channels{first, count, weights};
    run_channels<kBlocks, decltype(whole)::value>(call, channels, chunk, inputs, positions);
    return count;
  };
  if (left >= 64) return run(Blocks<4>(), std::true_type(), 64);
  if (left >= 32) return run(Blocks<2>(), std::true_type(), 32);
  if (left >= 16) return run(Blocks<1>(), std::true_type(), 16);
  return run(Blocks<4>(), std::false_type(), left);
}

}  // namespace

void depthwise_w8a8_avx512(const DepthwiseCall& call, Slice positions) {
  const DepthwiseSize& size = call.weight.size;
  const std::uint8_t* inputs[kMostPointers];
  const std::size_t chunk = chunk_of(size.taps);
  for (std::size_t first = positions.begin; first < positions.end; first += chunk) {
    const Slice some{first, std::min(first + chunk, positions.end)};
    point(call.window, call.input, some, chunk, inputs);
    for (std::size_t channel = 0; channel < size.channels;) {
      channel += run_some(call, channel, chunk, inputs, some);
    }
  }
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_AVX512
