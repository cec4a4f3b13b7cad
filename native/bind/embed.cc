#include "bind/embed.h"

#include <pybind11/numpy.h>

#include <string>

#include "bind/arrays.h"
#include "bind/kernels.h"
#include "bind/linear_weight.h"
#include "bind/threads.h"
#include "kernels/embed/embed.h"

namespace lamella {
namespace {

namespace py = pybind11;

using Floats = py::array_t<float, py::array::c_style>;

// Raises ValueError unless each id is a row of the table.
void check_ids(const py::array& id, std::size_t rows) {
  check_dimensions(id, "id", 1);
  const auto tokens = static_cast<std::size_t>(id.shape(0));
  check_array(id, "id", py::dtype::of<std::int32_t>(), {tokens});
  const auto* ids = static_cast<const std::int32_t*>(id.data());
  for (std::size_t token = 0; token < tokens; ++token) {
    if (ids[token] >= 0 && static_cast<std::size_t>(ids[token]) < rows) continue;
    throw py::value_error("the id " + std::to_string(ids[token]) + " of token " +
                          std::to_string(token) + " is outside the table, which has " +
                          std::to_string(rows) + " rows");
  }
}

Floats run(const EmbedKernel& kernel, const EmbedTable& table, const py::array& id,
           ThreadPool* pool) {
  Floats y({id.shape(0), static_cast<py::ssize_t>(table.cols)});
  const EmbedCall call{table, static_cast<const std::int32_t*>(id.data()), y.mutable_data()};
  const auto tokens = static_cast<std::size_t>(id.shape(0));
  const py::gil_scoped_release unlocked;
  run_slices(pool, tokens, [&](Slice slice) { kernel.run(call, slice); });
  return y;
}

Floats run_packed(const EmbedKernel& kernel, const LinearArrays& table, const py::array& id,
                  ThreadPool* pool) {
  check_runs(kernel);
  const LinearWeight weight = table.view();
  check_ids(id, weight.rows);
  return run(kernel, {weight.cols, &weight, nullptr, nullptr}, id, pool);
}

Floats run_floats(const EmbedKernel& kernel, const py::array& table, const py::array& id,
                  ThreadPool* pool) {
  check_runs(kernel);
  check_dimensions(table, "table", 2);
  const auto rows = static_cast<std::size_t>(table.shape(0));
  const auto cols = static_cast<std::size_t>(table.shape(1));
  const bool halves = table.dtype().equal(py::dtype("float16"));
  if (!halves && !table.dtype().equal(py::dtype::of<float>())) {
    throw py::value_error("table must be float32, float16 or a LinearWeight, not " +
                          py::str(table.dtype()).cast<std::string>());
  }
  check_array(table, "table", table.dtype(), {rows, cols});
  check_ids(id, rows);
  const auto* half = halves ? static_cast<const std::uint16_t*>(table.data()) : nullptr;
  const auto* single = halves ? nullptr : static_cast<const float*>(table.data());
  return run(kernel, {cols, nullptr, half, single}, id, pool);
}

}  // namespace

void bind_embed(py::module_& module, IsaSet allowed) {
  using py::arg;
  bind_kernel(module, "embed", "EmbedKernel", embed_kernels(), embed_select(allowed))
      .def("run", &run_packed, arg("table"), arg("id"), arg("pool") = py::none())
      .def("run", &run_floats, arg("table"), arg("id"), arg("pool") = py::none());
}

}  // namespace lamella
