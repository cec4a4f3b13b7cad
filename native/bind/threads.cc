#include "bind/threads.h"

#include <memory>
#include <string>

namespace lamella {
namespace {

namespace py = pybind11;

// More threads than this are a mistake, not a machine.
constexpr std::int64_t kMostThreads = 1024;

std::unique_ptr<ThreadPool> make_pool(std::int64_t threads) {
  if (threads < 1 || threads > kMostThreads) {
    throw py::value_error("threads must be 1 to " + std::to_string(kMostThreads) + ", not " +
                          std::to_string(threads));
  }
  return std::make_unique<ThreadPool>(static_cast<std::size_t>(threads));
}

}  // namespace

void bind_threads(py::module_& module) {
  py::class_<ThreadPool>(module, "ThreadPool")
      .def(py::init(&make_pool), py::arg("threads"))
      .def_property_readonly("threads", &ThreadPool::threads);
  module.def("usable_processors", &usable_processors);
}

}  // namespace lamella
