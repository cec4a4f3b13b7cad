#include "base/isa.h"

#include <cstdlib>
#include <cstring>
#include <string>

#if LAMELLA_X86
#include <cpuid.h>
#endif
#if LAMELLA_ARM && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace lamella {
namespace {

constexpr IsaName kNames[] = {
    {"portable", isa::kNone},           {"avx2", isa::kAvx2},
    {"avxvnni", isa::kAvxVnni},         {"avx512", isa::kAvx512},
    {"avx512vbmi2", isa::kAvx512Vbmi2}, {"neon", isa::kNeon},
    {"dotprod", isa::kDotprod},         {"i8mm", isa::kI8mm},
};

std::string listed_names() {
  std::string names;
  for (const IsaName& row : kNames) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

#if LAMELLA_X86

// Compilers differ in whether __builtin_cpu_supports knows F16C and AVX-VNNI. Where AVX2 is there,
// the system keeps the registers that both use.
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

bool has_avxvnni() {
  constexpr unsigned kAvxVnniBit = 1u << 4;  // of leaf 7.1 in EAX
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & kAvxVnniBit) != 0;
}

// The builtin wants a literal.
#define LAMELLA_HAS(feature) [] { return __builtin_cpu_supports(feature) != 0; }
// The bit that a set adds to the one that it extends.
constexpr IsaSet kOwnAvxVnni = isa::kAvxVnni & ~isa::kAvx2;
constexpr IsaSet kOwnAvx512 = isa::kAvx512 & ~isa::kAvx2;
constexpr IsaSet kOwnAvx512Vbmi2 = isa::kAvx512Vbmi2 & ~isa::kAvx512;

constexpr IsaFeature kFeatures[] = {
    {"AVX2", isa::kAvx2, LAMELLA_HAS("avx2")},
    {"FMA", isa::kAvx2, LAMELLA_HAS("fma")},
    {"F16C", isa::kAvx2, &has_f16c},
    {"BMI2", isa::kAvx2, LAMELLA_HAS("bmi2")},
    {"AVX-VNNI", kOwnAvxVnni, &has_avxvnni},
    {"AVX-512 F", kOwnAvx512, LAMELLA_HAS("avx512f")},
    {"AVX-512 BW", kOwnAvx512, LAMELLA_HAS("avx512bw")},
    {"AVX-512 DQ", kOwnAvx512, LAMELLA_HAS("avx512dq")},
    {"AVX-512 VL", kOwnAvx512, LAMELLA_HAS("avx512vl")},
    {"AVX-512 VNNI", kOwnAvx512, LAMELLA_HAS("avx512vnni")},
    {"AVX-512 VBMI2", kOwnAvx512Vbmi2, LAMELLA_HAS("avx512vbmi2")},
};

#elif LAMELLA_ARM

#if defined(__linux__)
bool has_dotprod() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
bool has_i8mm() { return (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }
#else
bool has_dotprod() { return false; }
bool has_i8mm() { return false; }
#endif

constexpr IsaFeature kFeatures[] = {
    {"NEON", isa::kNeon, [] { return true; }},
    {"DotProd", isa::kDotprod & ~isa::kNeon, &has_dotprod},
    {"I8MM", isa::kI8mm & ~isa::kDotprod, &has_i8mm},
};

#endif

#if LAMELLA_X86 || LAMELLA_ARM
constexpr Span<IsaFeature> kAllFeatures(kFeatures);
#else
constexpr Span<IsaFeature> kAllFeatures(nullptr, 0);
#endif

IsaSet ask_processor() {
#if LAMELLA_X86
  // Needed where a static constructor asks before the compiler's own has run.
  __builtin_cpu_init();
#endif
  IsaSet found = isa::kNone;
  for (const IsaFeature& feature : kAllFeatures) found |= feature.bit;
  for (const IsaFeature& feature : kAllFeatures) {
    if (!feature.present()) found &= ~feature.bit;
  }
  return found;
}

}  // namespace

Span<IsaName> isa_names() { return kNames; }

Span<IsaFeature> isa_features() { return kAllFeatures; }

IsaSet detect_isa() {
  // Asking a virtual processor leaves the virtual machine, which takes microseconds.
  static const IsaSet found = ask_processor();
  return found;
}

Status allowed_isa(IsaSet* allowed) {
  *allowed = detect_isa();
  const char* wanted = std::getenv("LAMELLA_ISA");
  if (wanted == nullptr || *wanted == '\0') return Status::success();
  for (const IsaName& row : kNames) {
    if (std::strcmp(row.name, wanted) != 0) continue;
    if (!runs_on(row.set, *allowed)) {
      return Status::failure(std::string("LAMELLA_ISA is ") + wanted +
                             ", which this processor lacks; unset it or write portable");
    }
    *allowed = row.set;
    return Status::success();
  }
  return Status::failure(std::string("LAMELLA_ISA is \"") + wanted + "\", which is none of " +
                         listed_names() + "; unset it to use what the processor offers");
}

}  // namespace lamella
