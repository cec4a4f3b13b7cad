// SHA-256 by the cryptography extension of ARMv8: four rounds an instruction.
#include "base/isa.h"
#if LAMELLA_ARM

#include <arm_neon.h>
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "base/prefetch.h"
#include "engine/file/sha256_isa.h"
#include "engine/file/sha256_rounds.h"

namespace lamella::file {

bool sha256_armv8_runs() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0;
#else
  return false;
#endif
}

LAMELLA_TARGET_BEGIN("arch=armv8-a+crypto")
namespace {

struct State {
  uint32x4_t abcd, efgh;
};

LAMELLA_INLINE State four_rounds(State v, uint32x4_t words, int round) {
  const uint32x4_t sum = vaddq_u32(words, vld1q_u32(kSha256Rounds + round));
  return {vsha256hq_u32(v.abcd, v.efgh, sum), vsha256h2q_u32(v.efgh, v.abcd, sum)};
}

// The next four words of the message from the last sixteen, oldest first.
LAMELLA_INLINE uint32x4_t next_words(uint32x4_t w0, uint32x4_t w1, uint32x4_t w2, uint32x4_t w3) {
  return vsha256su1q_u32(vsha256su0q_u32(w0, w1), w2, w3);
}

}  // namespace

void sha256_armv8(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count) {
  State v = {vld1q_u32(state), vld1q_u32(state + 4)};
  for (; count != 0; --count, blocks += 64) {
    prefetch(reinterpret_cast<std::uintptr_t>(blocks) + kSha256Ahead);
    const State before = v;
    uint32x4_t w[4];
    for (int i = 0; i < 4; ++i) {
      w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(blocks + 16 * i)));
    }
    for (int round = 0; round < 48; round += 16) {
      for (int i = 0; i < 4; ++i) {
        v = four_rounds(v, w[i], round + 4 * i);
        w[i] = next_words(w[i], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
      }
    }
    for (int i = 0; i < 4; ++i) v = four_rounds(v, w[i], 48 + 4 * i);
    v.abcd = vaddq_u32(v.abcd, before.abcd);
    v.efgh = vaddq_u32(v.efgh, before.efgh);
  }
  vst1q_u32(state, v.abcd);
  vst1q_u32(state + 4, v.efgh);
}

LAMELLA_TARGET_END

}  // namespace lamella::file

#endif
