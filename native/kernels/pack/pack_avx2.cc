// pack with AVX2, 32 codes at a time; the mask with BMI2, 8 codes at a time.
#include "kernels/pack/pack.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/formats.h"
#include "kernels/pack/block.h"

LAMELLA_TARGET_BEGIN("avx2,bmi2,popcnt")

namespace lamella {
namespace {

constexpr std::size_t kStep = 32;  // codes in a register
constexpr std::uint64_t kEachByte = 0x0101010101010101u;

// Constants of one width. A register of 32 bytes becomes four lanes of 8 * bits bits by merging
// neighbours three times, and falls apart by the same steps in reverse.
struct Width {
  explicit Width(int width)
      : bits(static_cast<std::size_t>(width)),
        by1(_mm_cvtsi32_si128(width)),
        by2(_mm_cvtsi32_si128(2 * width)),
        by4(_mm_cvtsi32_si128(4 * width)),
        ones1(_mm256_set1_epi16(static_cast<short>((1 << width) - 1))),
        ones2(_mm256_set1_epi32((1 << 2 * width) - 1)),
        ones4(_mm256_set1_epi64x((std::int64_t{1} << 4 * width) - 1)) {
    alignas(16) std::uint8_t join[16];
    alignas(16) std::uint8_t part[16];
    // A shuffle index of 0x80 and above writes a zero.
    std::memset(join, 0x80, sizeof join);
    std::memset(part, 0x80, sizeof part);
    for (std::size_t i = 0; i < bits; ++i) {
      join[i] = static_cast<std::uint8_t>(i);
      join[bits + i] = static_cast<std::uint8_t>(8 + i);
      part[i] = static_cast<std::uint8_t>(i);
      part[8 + i] = static_cast<std::uint8_t>(bits + i);
    }
    joining = _mm_load_si128(reinterpret_cast<const __m128i*>(join));
    parting = _mm_load_si128(reinterpret_cast<const __m128i*>(part));
  }

  // Bytes that one step stores or loads, beyond the 4 * bits that it means.
  std::size_t reach() const { return 16 + 2 * bits; }

  std::size_t bits;
  __m128i by1, by2, by4;
  __m256i ones1, ones2, ones4;
  __m128i joining, parting;
};

// Stores 32 codes as 4 * bits bytes, and zeros up to reach().
void pack_step(const Width& width, const std::uint8_t* codes, std::uint8_t* packed) {
  const __m256i code = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
  const __m256i low1 = _mm256_and_si256(code, _mm256_set1_epi16(0xff));
  const __m256i high1 = _mm256_sll_epi16(_mm256_srli_epi16(code, 8), width.by1);
  const __m256i twos = _mm256_or_si256(low1, high1);
  const __m256i low2 = _mm256_and_si256(twos, _mm256_set1_epi32(0xffff));
  const __m256i high2 = _mm256_sll_epi32(_mm256_srli_epi32(twos, 16), width.by2);
  const __m256i fours = _mm256_or_si256(low2, high2);
  const __m256i low4 = _mm256_and_si256(fours, _mm256_set1_epi64x(0xffffffff));
  const __m256i high4 = _mm256_sll_epi64(_mm256_srli_epi64(fours, 32), width.by4);
  const __m256i eights = _mm256_or_si256(low4, high4);
  const __m256i joined = _mm256_shuffle_epi8(eights, _mm256_broadcastsi128_si256(width.joining));
  auto* out = reinterpret_cast<__m128i*>(packed);
  _mm_storeu_si128(out, _mm256_castsi256_si128(joined));
  out = reinterpret_cast<__m128i*>(packed + 2 * width.bits);
  _mm_storeu_si128(out, _mm256_extracti128_si256(joined, 1));
}

// Loads reach() bytes and stores the 32 codes of the first 4 * bits of them.
void unpack_step(const Width& width, const std::uint8_t* packed, std::uint8_t* codes) {
  const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed));
  const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed + 2 * width.bits));
  const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
  const __m256i eights = _mm256_shuffle_epi8(both, _mm256_broadcastsi128_si256(width.parting));
  const __m256i low4 = _mm256_and_si256(eights, width.ones4);
  const __m256i high4 = _mm256_slli_epi64(_mm256_srl_epi64(eights, width.by4), 32);
  const __m256i fours = _mm256_or_si256(low4, high4);
  const __m256i low2 = _mm256_and_si256(fours, width.ones2);
  const __m256i high2 = _mm256_slli_epi32(_mm256_srl_epi32(fours, width.by2), 16);
  const __m256i twos = _mm256_or_si256(low2, high2);
  const __m256i low1 = _mm256_and_si256(twos, width.ones1);
  const __m256i high1 = _mm256_slli_epi16(_mm256_srl_epi16(twos, width.by1), 8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), _mm256_or_si256(low1, high1));
}

void pack_row(const Width& width, std::size_t cols, const std::uint8_t* codes,
              std::uint8_t* packed) {
  const int bits = static_cast<int>(width.bits);
  const std::size_t row_bytes = packed_row_bytes(cols, bits);
  std::size_t col = 0;
  for (; col + kStep <= cols; col += kStep) {
    const std::size_t at = col / 8 * width.bits;
    if (at + width.reach() > row_bytes) break;
    pack_step(width, codes + col, packed + at);
  }
  pack_run(cols - col, bits, codes + col, packed + col / 8 * width.bits);
}

void unpack_row(const Width& width, std::size_t cols, const std::uint8_t* packed,
                std::uint8_t* codes) {
  const int bits = static_cast<int>(width.bits);
  const std::size_t row_bytes = packed_row_bytes(cols, bits);
  std::size_t col = 0;
  for (; col + kStep <= cols; col += kStep) {
    const std::size_t at = col / 8 * width.bits;
    if (at + width.reach() > row_bytes) break;
    unpack_step(width, packed + at, codes + col);
  }
  unpack_run(cols - col, bits, packed + col / 8 * width.bits, codes + col);
}

void pack(PackShape shape, const std::uint8_t* codes, std::uint8_t* packed) {
  LAMELLA_DCHECK(packs(shape.bits));
  if (shape.bits == 8) {
    std::copy_n(codes, shape.rows * shape.cols, packed);
    return;
  }
  const Width width(shape.bits);
  const std::size_t row_bytes = packed_row_bytes(shape.cols, shape.bits);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    pack_row(width, shape.cols, codes + row * shape.cols, packed + row * row_bytes);
  }
}

void unpack(PackShape shape, const std::uint8_t* packed, std::uint8_t* codes) {
  LAMELLA_DCHECK(packs(shape.bits));
  if (shape.bits == 8) {
    std::copy_n(packed, shape.rows * shape.cols, codes);
    return;
  }
  const Width width(shape.bits);
  const std::size_t row_bytes = packed_row_bytes(shape.cols, shape.bits);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    unpack_row(width, shape.cols, packed + row * row_bytes, codes + row * shape.cols);
  }
}

// 0xff in each byte whose bit of `mask` is 1.
std::uint64_t whole_bytes(std::uint8_t mask) { return _pdep_u64(mask, kEachByte) * 0xff; }

void compact(MaskShape shape, const std::uint8_t* codes, const std::uint8_t* mask,
             std::uint8_t* kept) {
  LAMELLA_DCHECK(kept_codes(shape.rows, shape.cols, mask) == shape.kept);
  const std::uint8_t* const end = kept + shape.kept;
  for (std::size_t row = 0; row < shape.rows; ++row, mask += packed_row_bytes(shape.cols, 1)) {
    const std::uint8_t* row_codes = codes + row * shape.cols;
    std::size_t col = 0;
    for (; col + 8 <= shape.cols && end - kept >= 8; col += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, row_codes + col, 8);
      word = _pext_u64(word, whole_bytes(mask[col / 8]));
      std::memcpy(kept, &word, 8);
      kept += _mm_popcnt_u32(mask[col / 8]);
    }
    for (; col < shape.cols; ++col) {
      if (is_kept(mask, col)) *kept++ = row_codes[col];
    }
  }
}

void expand(MaskShape shape, const std::uint8_t* kept, const std::uint8_t* mask, ZeroCodes zero,
            std::uint8_t* codes) {
  LAMELLA_DCHECK(kept_codes(shape.rows, shape.cols, mask) == shape.kept);
  LAMELLA_DCHECK(zero.group % 8 == 0 || zero.group >= shape.cols);
  const std::uint8_t* const end = kept + shape.kept;
  const std::size_t groups = groups_of(shape.cols, zero.group);
  for (std::size_t row = 0; row < shape.rows; ++row, mask += packed_row_bytes(shape.cols, 1)) {
    const std::uint8_t* row_zero = zero.codes + row * groups;
    std::uint8_t* row_codes = codes + row * shape.cols;
    std::size_t col = 0;
    for (; col + 8 <= shape.cols && end - kept >= 8; col += 8) {
      const std::uint64_t chosen = whole_bytes(mask[col / 8]);
      std::uint64_t word = 0;
      std::memcpy(&word, kept, 8);
      word = _pdep_u64(word, chosen) | (row_zero[col / zero.group] * kEachByte & ~chosen);
      std::memcpy(row_codes + col, &word, 8);
      kept += _mm_popcnt_u32(mask[col / 8]);
    }
    for (; col < shape.cols; ++col) {
      row_codes[col] = is_kept(mask, col) ? *kept++ : row_zero[col / zero.group];
    }
  }
}

}  // namespace

const PackCalls pack_avx2 = {&pack, &unpack, &compact, &expand};

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
