#include "bind/bandwidth.h"

#include <atomic>
#include <cstdint>
#include <cstring>

#include "bind/arrays.h"
#include "bind/threads.h"

namespace lamella {
namespace {

namespace py = pybind11;

constexpr std::size_t kLine = 64;
constexpr std::size_t kWords = kLine / sizeof(std::uint64_t);

// The exclusive or of the words of whole cache lines. Compilers keep the sums in registers and
// lines are asked for one page ahead, so that memory is what limits it.
std::uint64_t read_lines(const std::uint8_t* lines, Slice slice) {
  std::uint64_t sums[kWords] = {};
  for (std::size_t line = slice.begin; line < slice.end; ++line) {
    const std::uint8_t* at = lines + line * kLine;
    // A number, because the address may lie behind the last line.
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(at) + 4096));
    std::uint64_t words[kWords];
    std::memcpy(words, at, kLine);
    for (std::size_t i = 0; i < kWords; ++i) sums[i] ^= words[i];
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t part : sums) sum ^= part;
  return sum;
}

std::uint64_t read_bytes(const py::array& bytes, ThreadPool* pool) {
  const auto in = checked<std::uint8_t>(bytes, "bytes");
  const auto size = static_cast<std::size_t>(in.size());
  if (size % kLine != 0) {
    throw py::value_error("bytes must be whole lines of 64 bytes, not " + std::to_string(size));
  }
  const std::uint8_t* from = in.data();
  std::atomic<std::uint64_t> sum{0};
  const py::gil_scoped_release unlocked;
  run_slices(pool, size / kLine, [&](Slice slice) { sum ^= read_lines(from, slice); });
  return sum;
}

}  // namespace

void bind_bandwidth(py::module_& module) {
  module.def("read_bytes", &read_bytes, py::arg("bytes"), py::arg("pool") = py::none());
}

}  // namespace lamella
