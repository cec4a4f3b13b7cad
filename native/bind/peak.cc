#include "bind/peak.h"

#include <atomic>
#include <cstdint>
#include <string>

#include "bind/kernels.h"
#include "bind/threads.h"
#include "kernels/peak/peak.h"

namespace lamella {
namespace {

namespace py = pybind11;

constexpr int kFloatBits = 32;

void check_operand(int number, const char* name, int most) {
  if (number >= 0 && number <= most) return;
  throw py::value_error(std::string(name) + " must be 0 to " + std::to_string(most) + ", not " +
                        std::to_string(number));
}

std::uint32_t run_peak(const PeakKernel& kernel, std::size_t rounds, int weight, int input,
                       ThreadPool* pool) {
  check_runs(kernel);
  check_operand(weight, "weight", kernel.bits == 4 ? 15 : 127);
  check_operand(input, "input", 127);
  const std::size_t most = std::size_t{1} << 18;
  const auto product = static_cast<std::size_t>(weight) * static_cast<std::size_t>(input);
  if (kernel.bits == kFloatBits && product != 0 && rounds > most / product) {
    throw py::value_error(std::string(kernel.name) +
                          " is exact for rounds * weight * input up to " + std::to_string(most) +
                          "; take fewer rounds than " + std::to_string(rounds));
  }
  std::atomic<std::uint32_t> sum{0};
  const py::gil_scoped_release unlocked;
  run_slices(pool, rounds,
             [&](Slice slice) { sum += kernel.run(slice.end - slice.begin, {weight, input}); });
  return sum;
}

const PeakKernel* select(int bits, IsaSet allowed) {
  if (bits == 4 || bits == 8 || bits == kFloatBits) return &peak_select(bits, allowed);
  throw py::value_error("bits must be 4, 8 or 32, not " + std::to_string(bits));
}

}  // namespace

void bind_peak(py::module_& module, IsaSet allowed) {
  using py::arg;
  bind_kernels(module, "peak", "PeakKernel", peak_kernels())
      .def_property_readonly("bits", [](const PeakKernel& kernel) { return kernel.bits; })
      .def_property_readonly("products", [](const PeakKernel&) { return kRoundProducts; })
      .def("run", &run_peak, arg("rounds"), arg("weight"), arg("input"), arg("pool") = py::none());
  module.def(
      "peak_kernel", [allowed](int bits) { return select(bits, allowed); }, arg("bits"),
      py::return_value_policy::reference);
}

}  // namespace lamella
