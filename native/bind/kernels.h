// What the bindings of all operations share: the lists of their kernels, and what runs here.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "base/isa.h"
#include "base/span.h"

namespace lamella {

// Whether the processor has what a kernel needs, whatever LAMELLA_ISA says.
template <typename Kernel>
bool runs_here(const Kernel& kernel) {
  return runs_on(kernel.needs, detect_isa());
}

// Raises ValueError unless the kernel runs here.
template <typename Kernel>
void check_runs(const Kernel& kernel) {
  if (runs_here(kernel)) return;
  throw pybind11::value_error(std::string(kernel.name) +
                              " needs instructions that this processor lacks");
}

// One kernel as `lamella kernels` lists it.
struct KernelRow {
  std::string operation;  // its folder in native/kernels
  const char* name;
  IsaSet needs;
};

// Adds a row to the list of all kernels; bind_kernels() does it for every operation.
void list_kernel(const KernelRow& row);

// Adds kernels(), the list of all kernels that were bound, with what each needs and lacks.
void bind_kernel_list(pybind11::module_& module, IsaSet allowed);

// Adds the class `title` of one operation's kernels, and <op>_kernels(), which lists them.
template <typename Kernel>
pybind11::class_<Kernel> bind_kernels(pybind11::module_& module, const std::string& op,
                                      const char* title, Span<Kernel> kernels) {
  std::vector<const Kernel*> listed;
  for (const Kernel& kernel : kernels) {
    listed.push_back(&kernel);
    list_kernel({op, kernel.name, kernel.needs});
  }
  module.def((op + "_kernels").c_str(), [listed] { return listed; },
             pybind11::return_value_policy::reference);
  return pybind11::class_<Kernel>(module, title)
      .def_property_readonly("name", [](const Kernel& kernel) { return kernel.name; })
      .def_property_readonly("runs_here", &runs_here<Kernel>);
}

// The same, and <op>_kernel(), which returns `selected`.
template <typename Kernel>
pybind11::class_<Kernel> bind_kernel(pybind11::module_& module, const std::string& op,
                                     const char* title, Span<Kernel> kernels,
                                     const Kernel& selected) {
  module.def((op + "_kernel").c_str(), [&selected] { return &selected; },
             pybind11::return_value_policy::reference);
  return bind_kernels(module, op, title, kernels);
}

}  // namespace lamella
