// Instruction sets: what the host offers, what a kernel needs, and regions compiled for one.
//
// To add an instruction set, add one bit here, and in isa.cc its name and its features.
#pragma once

#include <cstdint>

#include "base/span.h"
#include "base/status.h"

#if defined(__x86_64__)
#define LAMELLA_X86 1
#else
#define LAMELLA_X86 0
#endif

// A build for size leaves AVX-512 out, which is a third of all kernels, and has loops for fewer
// numbers of tokens.
#if !defined(LAMELLA_SMALL)
#define LAMELLA_SMALL 0
#endif

#if LAMELLA_X86 && !LAMELLA_SMALL
#define LAMELLA_AVX512 1
#else
#define LAMELLA_AVX512 0
#endif

#if defined(__aarch64__)
#define LAMELLA_ARM 1
#else
#define LAMELLA_ARM 0
#endif

// Between the two macros, functions are compiled for instruction sets that the rest of the file
// may not use, so no file needs flags of its own. Includes of headers belong before the region.
// Idea: simdjson's portability.h.
#define LAMELLA_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define LAMELLA_TARGET_BEGIN(sets) \
  LAMELLA_PRAGMA(clang attribute push(__attribute__((target(sets))), apply_to = function))
#define LAMELLA_TARGET_END LAMELLA_PRAGMA(clang attribute pop)
#else
#define LAMELLA_TARGET_BEGIN(sets) LAMELLA_PRAGMA(GCC push_options) LAMELLA_PRAGMA(GCC target(sets))
#define LAMELLA_TARGET_END LAMELLA_PRAGMA(GCC pop_options)
#endif

// For the steps of a loop whose values must stay in registers.
#define LAMELLA_INLINE inline __attribute__((always_inline))

namespace lamella {

using IsaSet = std::uint32_t;

namespace isa {
inline constexpr IsaSet kNone = 0;
// AVX2 with FMA, F16C and BMI2: every x86-64 core since 2015 that has the first has the others.
inline constexpr IsaSet kAvx2 = 1u << 0;
// Each set holds the sets that it extends, so that a kernel needs one name.
inline constexpr IsaSet kAvxVnni = kAvx2 | 1u << 1;
// AVX-512 F, BW, DQ and VL, with VNNI.
inline constexpr IsaSet kAvx512 = kAvx2 | 1u << 2;
// AVX-512 VBMI2, which expands bytes: for sparse weights.
inline constexpr IsaSet kAvx512Vbmi2 = kAvx512 | 1u << 6;
// What every 64-bit ARM core has.
inline constexpr IsaSet kNeon = 1u << 3;
inline constexpr IsaSet kDotprod = kNeon | 1u << 4;
inline constexpr IsaSet kI8mm = kDotprod | 1u << 5;
}  // namespace isa

struct IsaName {
  const char* name;
  IsaSet set;
};

// Every name that LAMELLA_ISA takes, on any processor; "portable" first.
Span<IsaName> isa_names();

// A feature of a processor, as its maker calls it. A set is there where all of its features are.
struct IsaFeature {
  const char* name;
  IsaSet bit;  // the one bit that needs it
  bool (*present)();
};

// Every feature that the kernels of this build may need.
Span<IsaFeature> isa_features();

// What the processor offers, whatever LAMELLA_ISA says.
IsaSet detect_isa();

// What kernels may use: `detect_isa()`, or the set that the environment variable LAMELLA_ISA
// names. Fails if the variable holds an unknown name or a set that the processor lacks.
Status allowed_isa(IsaSet* allowed);

constexpr bool runs_on(IsaSet needs, IsaSet host) { return (needs & ~host) == 0; }

}  // namespace lamella
