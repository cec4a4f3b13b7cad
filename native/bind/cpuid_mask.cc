// Libraries choose their kernels by CPUID. Linux can make that instruction fault, on processors
// that support it; the handler here answers in its place and leaves out what is to be hidden. The
// instructions themselves still work: only who asks is told that they are not there.
#include "bind/cpuid_mask.h"

#include <string>

#include "base/isa.h"

#if LAMELLA_X86 && defined(__linux__)
#include <cpuid.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#endif

namespace lamella {
namespace {

namespace py = pybind11;

// The set beyond which features are hidden; nullptr until something is.
const IsaName* smaller = nullptr;

#if LAMELLA_X86 && defined(__linux__)

enum Register { kEax, kEbx, kEcx, kEdx };

// Bits that CPUID gives in a register; a processor that has any of the sets `with` keeps them.
struct Feature {
  unsigned subleaf;  // of leaf 7
  Register where;
  unsigned bits;
  IsaSet with;
};

constexpr IsaSet kOwnAvxVnni = isa::kAvxVnni & ~isa::kAvx2;
constexpr IsaSet kOwnAvx512 = isa::kAvx512 & ~isa::kAvx2;
constexpr IsaSet kOwnAvx512Vbmi2 = isa::kAvx512Vbmi2 & ~isa::kAvx512;

constexpr unsigned bit(int index) { return 1u << index; }

constexpr Feature kFeatures[] = {
    // AVX-512 F, DQ, CD, BW, VL; VNNI.
    {0, kEbx, bit(16) | bit(17) | bit(28) | bit(30) | bit(31), kOwnAvx512},
    {0, kEcx, bit(11), kOwnAvx512},
    // AVX-512 IFMA; VBMI, VBMI2, BITALG, VPOPCNTDQ.
    {0, kEbx, bit(21), kOwnAvx512Vbmi2},
    {0, kEcx, bit(1) | bit(6) | bit(12) | bit(14), kOwnAvx512Vbmi2},
    // GFNI, VAES, VPCLMULQDQ, which came with either.
    {0, kEcx, bit(8) | bit(9) | bit(10), kOwnAvxVnni | kOwnAvx512Vbmi2},
    {1, kEax, bit(4), kOwnAvxVnni},
    // AVX-512 VP2INTERSECT and FP16; AMX-BF16, AMX-TILE, AMX-INT8.
    {0, kEdx, bit(8) | bit(23) | bit(22) | bit(24) | bit(25), isa::kNone},
    // AVX512-BF16, AMX-FP16, AVX-IFMA.
    {1, kEax, bit(5) | bit(21) | bit(23), isa::kNone},
    // AVX-VNNI-INT8, AVX-NE-CONVERT, AMX-COMPLEX, AVX-VNNI-INT16, AVX10, APX.
    {1, kEdx, bit(4) | bit(5) | bit(8) | bit(10) | bit(19) | bit(21), isa::kNone},
};

struct sigaction previous;

// Of this thread and those that it starts. Fails where processor or kernel do not know of it.
bool let_cpuid_work(bool works) {
  constexpr long kSetCpuid = 0x1012;  // ARCH_SET_CPUID of asm/prctl.h, which older headers lack
  return syscall(SYS_arch_prctl, kSetCpuid, works ? 1L : 0L) == 0;
}

// Answers the CPUID that faulted.
void answer(gregset_t& registers) {
  const auto leaf = static_cast<unsigned>(registers[REG_RAX]);
  const auto subleaf = static_cast<unsigned>(registers[REG_RCX]);
  unsigned values[4];
  let_cpuid_work(true);
  __cpuid_count(leaf, subleaf, values[kEax], values[kEbx], values[kEcx], values[kEdx]);
  let_cpuid_work(false);
  for (const Feature& feature : kFeatures) {
    const bool kept = (feature.with & smaller->set) != 0;
    if (leaf == 7 && subleaf == feature.subleaf && !kept) values[feature.where] &= ~feature.bits;
  }
  registers[REG_RAX] = values[kEax];
  registers[REG_RBX] = values[kEbx];
  registers[REG_RCX] = values[kEcx];
  registers[REG_RDX] = values[kEdx];
  registers[REG_RIP] += 2;
}

// What would have happened to a signal that is none of ours.
void pass_on(int signal, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    // The instruction faults again, without us; what another process sent does not come again.
    sigaction(signal, &previous, nullptr);
    if (info->si_code <= 0) raise(signal);
  }
}

void handle(int signal, siginfo_t* info, void* context) {
  gregset_t& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  // A fault of an instruction has SI_KERNEL, one of an address has not, so the bytes can be read.
  if (info->si_code == SI_KERNEL) {
    const auto* code = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
    if (code[0] == 0x0F && code[1] == 0xA2) return answer(registers);
  }
  pass_on(signal, info, context);
}

bool can_hide() { return let_cpuid_work(true); }

bool start_hiding() {
  struct sigaction action = {};
  action.sa_sigaction = &handle;
  // On the stack for signals, where a thread has one: its own may be what overflowed.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  return sigaction(SIGSEGV, &action, &previous) == 0 && let_cpuid_work(false);
}

#else

bool can_hide() { return false; }
bool start_hiding() { return false; }

#endif

void hide_features(const std::string& isa) {
  if (smaller != nullptr) {
    throw std::runtime_error(std::string("this process already hides what is beyond ") +
                             smaller->name + "; start another one");
  }
  for (const IsaName& row : isa_names()) {
    if (row.name != isa || row.set == isa::kNone || !runs_on(row.set, detect_isa())) continue;
    if (!can_hide()) throw std::runtime_error("CPUID cannot be made to fault here");
    smaller = &row;
    if (start_hiding()) return;
    smaller = nullptr;
    throw std::runtime_error("CPUID cannot be made to fault here");
  }
  throw py::value_error("isa must be a set of this processor but portable, not " + isa);
}

}  // namespace

void bind_cpuid_mask(py::module_& module) {
  module.def("can_hide_features", [] { return smaller != nullptr || can_hide(); });
  module.def("hide_features", &hide_features, py::arg("isa"));
  module.def("hidden_beyond", [] { return smaller == nullptr ? "" : smaller->name; });
}

}  // namespace lamella
