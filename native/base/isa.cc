#include "base/isa.h"

#include <cstdlib>
#include <cstring>
#include <string>

namespace lamella {
namespace {

constexpr IsaName kNames[] = {
    {"portable", isa::kNone},
    {"avx2", isa::kAvx2},
};

std::string listed_names() {
  std::string names;
  for (const IsaName& row : kNames) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

}  // namespace

Span<IsaName> isa_names() { return kNames; }

IsaSet detect_isa() {
  IsaSet found = isa::kNone;
#if LAMELLA_X86
  // Needed where a static constructor asks before the compiler's own has run.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) found |= isa::kAvx2;
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
