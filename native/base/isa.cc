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
    {"portable", isa::kNone}, {"avx2", isa::kAvx2}, {"avxvnni", isa::kAvxVnni},
    {"avx512", isa::kAvx512}, {"neon", isa::kNeon}, {"dotprod", isa::kDotprod},
    {"i8mm", isa::kI8mm},
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

// Compilers differ in whether __builtin_cpu_supports knows AVX-VNNI: leaf 7.1, EAX bit 4.
bool has_avxvnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax >> 4 & 1) != 0;
}

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

#endif

}  // namespace

Span<IsaName> isa_names() { return kNames; }

IsaSet detect_isa() {
  IsaSet found = isa::kNone;
#if LAMELLA_X86
  // Needed where a static constructor asks before the compiler's own has run.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2")) {
    found |= isa::kAvx2;
    if (has_avxvnni()) found |= isa::kAvxVnni;
    if (has_avx512()) found |= isa::kAvx512;
  }
#endif
#if LAMELLA_ARM
  found |= isa::kNeon;
#if defined(__linux__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) {
    found |= isa::kDotprod;
    if ((getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0) found |= isa::kI8mm;
  }
#endif
#endif
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
