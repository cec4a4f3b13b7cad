// SHA-256 by the SHA extensions of x86: two rounds an instruction.
#include "base/isa.h"
#if LAMELLA_X86

#include <cpuid.h>
#include <immintrin.h>

#include "base/prefetch.h"
#include "engine/file/sha256_isa.h"
#include "engine/file/sha256_rounds.h"

namespace lamella::file {

bool sha256_shani_runs() {
  constexpr unsigned kShaBit = 1u << 29;  // of leaf 7 in EBX
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & kShaBit) != 0 &&
         __builtin_cpu_supports("sse4.1") != 0;
}

LAMELLA_TARGET_BEGIN("sha,sse4.1,ssse3")
namespace {

// The words of the state as the instructions want them, highest lane first: a, b, e, f and
// c, d, g, h.
struct State {
  __m128i abef, cdgh;
};

LAMELLA_INLINE State loaded(const std::uint32_t* state) {
  const __m128i dcba = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state));
  const __m128i hgfe = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state + 4));
  const __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
  const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
  return {_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

LAMELLA_INLINE void stored(State from, std::uint32_t* state) {
  const __m128i feba = _mm_shuffle_epi32(from.abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(from.cdgh, 0xb1);
  const __m128i dcba = _mm_blend_epi16(feba, dchg, 0xf0);
  const __m128i hgfe = _mm_alignr_epi8(dchg, feba, 8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), dcba);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), hgfe);
}

// The next four words of the message from the last sixteen, oldest first.
LAMELLA_INLINE __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3) {
  const __m128i far = _mm_sha256msg1_epu32(w0, w1);
  return _mm_sha256msg2_epu32(_mm_add_epi32(far, _mm_alignr_epi8(w3, w2, 4)), w3);
}

LAMELLA_INLINE State four_rounds(State v, __m128i words, int round) {
  const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(kSha256Rounds + round));
  const __m128i sum = _mm_add_epi32(words, constants);
  v.cdgh = _mm_sha256rnds2_epu32(v.cdgh, v.abef, sum);
  v.abef = _mm_sha256rnds2_epu32(v.abef, v.cdgh, _mm_shuffle_epi32(sum, 0x0e));
  return v;
}

}  // namespace

void sha256_shani(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count) {
  const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  State v = loaded(state);
  for (; count != 0; --count, blocks += 64) {
    prefetch(reinterpret_cast<std::uintptr_t>(blocks) + kSha256Ahead);
    const State before = v;
    __m128i w[4];
    for (int i = 0; i < 4; ++i) {
      const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(blocks) + i);
      w[i] = _mm_shuffle_epi8(raw, swap);
    }
    for (int round = 0; round < 48; round += 16) {
      for (int i = 0; i < 4; ++i) {
        v = four_rounds(v, w[i], round + 4 * i);
        w[i] = next_words(w[i], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
      }
    }
    for (int i = 0; i < 4; ++i) v = four_rounds(v, w[i], 48 + 4 * i);
    v.abef = _mm_add_epi32(v.abef, before.abef);
    v.cdgh = _mm_add_epi32(v.cdgh, before.cdgh);
  }
  stored(v, state);
}

LAMELLA_TARGET_END

}  // namespace lamella::file

#endif
