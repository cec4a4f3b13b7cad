#include "bind/kernels.h"

namespace lamella {
namespace {

namespace py = pybind11;

std::vector<KernelRow>& all_rows() {
  static std::vector<KernelRow> rows;
  return rows;
}

// The features that `needs` asks for; `lacked` keeps those that the processor lacks.
py::list features(IsaSet needs, bool lacked) {
  py::list names;
  for (const IsaFeature& feature : isa_features()) {
    if ((needs & feature.bit) == 0 || (lacked && feature.present())) continue;
    names.append(feature.name);
  }
  return names;
}

py::list described(IsaSet allowed) {
  py::list rows;
  for (const KernelRow& row : all_rows()) {
    py::dict values;
    values["operation"] = row.operation;
    values["name"] = row.name;
    values["needs"] = features(row.needs, false);
    values["lacks"] = features(row.needs, true);
    values["allowed"] = runs_on(row.needs, allowed);
    rows.append(values);
  }
  return rows;
}

}  // namespace

void list_kernel(const KernelRow& row) { all_rows().push_back(row); }

void bind_kernel_list(py::module_& module, IsaSet allowed) {
  module.def("kernels", [allowed] { return described(allowed); });
}

}  // namespace lamella
