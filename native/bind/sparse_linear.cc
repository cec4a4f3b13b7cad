#include "bind/sparse_linear.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "bind/arrays.h"
#include "bind/kernels.h"
#include "bind/linear.h"
#include "bind/linear_weight.h"
#include "kernels/sparse_linear_a8/sparse_linear_a8.h"

namespace lamella {
namespace {

namespace py = pybind11;

using OptionalArray = std::optional<py::array>;
using Masks = py::array_t<std::uint64_t, py::array::c_style>;
using Starts = py::array_t<std::uint32_t, py::array::c_style>;
using Codes = py::array_t<std::uint8_t, py::array::c_style>;

// The parts of a sparse weight beside its scales and zero points.
struct SparseParts {
  py::array codes;
  py::array masks;
  py::array starts;
};

struct SparseArrays {
  LinearSize size;
  SparseParts parts;
  py::array scale;
  OptionalArray zero;
};

void check_bits(int bits) {
  if (bits == 4 || bits == 8) return;
  throw py::value_error("bits of a sparse weight must be 4 or 8, not " + std::to_string(bits));
}

std::size_t checked_bytes_of(std::size_t tiles, int bits, const std::uint64_t* masks) {
  const std::size_t bytes = for_each_start(tiles, bits, masks, [](std::size_t, std::size_t) {});
  if (bytes <= std::numeric_limits<std::uint32_t>::max()) return bytes;
  throw py::value_error("the kept codes take " + std::to_string(bytes) +
                        " bytes, but starts reach only 2^32 - 1; split the rows");
}

// Reading is safe only if the three parts agree.
void check_parts(const LinearSize& size, const SparseParts& parts) {
  const std::size_t strips = strips_of(static_cast<std::size_t>(size.rows));
  const std::size_t blocks = blocks_of(static_cast<std::size_t>(size.cols));
  check_array(parts.masks, "masks", py::dtype::of<std::uint64_t>(), {strips, blocks, kPairs});
  check_array(parts.starts, "starts", py::dtype::of<std::uint32_t>(), {strips, blocks});
  const auto* masks = static_cast<const std::uint64_t*>(parts.masks.data());
  const auto* starts = static_cast<const std::uint32_t*>(parts.starts.data());
  const std::size_t bytes = checked_bytes_of(strips * blocks, size.bits, masks);
  for_each_start(strips * blocks, size.bits, masks, [&](std::size_t tile, std::size_t byte) {
    if (starts[tile] == byte) return;
    throw py::value_error("tile " + std::to_string(tile) + " starts at byte " +
                          std::to_string(starts[tile]) + ", but its masks say " +
                          std::to_string(byte));
  });
  check_array(parts.codes, "codes", py::dtype::of<std::uint8_t>(), {bytes + kSparsePadding});
}

SparseArrays make_weight(const LinearSize& size, const SparseParts& parts, const py::array& scale,
                         const OptionalArray& zero) {
  check_bits(size.bits);
  check_grids(size, scale, zero);
  check_parts(size, parts);
  return {size, parts, scale, zero};
}

SparseArrays pack_sparse(const LinearArrays& weight, const py::array& keep) {
  const LinearSize& size = weight.size();
  check_bits(size.bits);
  const auto rows = static_cast<std::size_t>(size.rows), cols = static_cast<std::size_t>(size.cols);
  check_array(keep, "keep", py::dtype::of<bool>(), {rows, cols});
  const std::size_t strips = strips_of(rows), blocks = blocks_of(cols);
  Masks masks(std::vector<std::size_t>{strips, blocks, kPairs});
  pack_sparse_masks(rows, cols, static_cast<const std::uint8_t*>(keep.data()),
                    masks.mutable_data());
  const std::size_t bytes = checked_bytes_of(strips * blocks, size.bits, masks.data());
  Starts starts(std::vector<std::size_t>{strips, blocks});
  std::uint32_t* to = starts.mutable_data();
  for_each_start(strips * blocks, size.bits, masks.data(), [to](std::size_t tile, std::size_t at) {
    to[tile] = static_cast<std::uint32_t>(at);
  });
  Codes codes(static_cast<py::ssize_t>(bytes + kSparsePadding));
  std::fill_n(codes.mutable_data() + bytes, kSparsePadding, std::uint8_t{0});
  pack_sparse_codes(strips * blocks, size.bits, weight.view().codes, masks.data(),
                    codes.mutable_data());
  return {size, {codes, masks, starts}, weight.scale(), weight.zero()};
}

py::array run(const SparseLinearKernel& kernel, const SparseArrays& weight, const py::array& x,
              const OptionalArray& bias, ThreadPool* pool) {
  LinearWeight view = view_of_grids(weight.size, weight.scale, weight.zero);
  view.codes = static_cast<const std::uint8_t*>(weight.parts.codes.data());
  view.masks = static_cast<const std::uint64_t*>(weight.parts.masks.data());
  view.starts = static_cast<const std::uint32_t*>(weight.parts.starts.data());
  const LinearKernel dense{kernel, kernel.bits, kernel.run};
  return run_linear_view(dense, view, {x, bias, pool});
}

void bind_weight(py::module_& module) {
  using py::arg;
  const auto make = [](std::int64_t rows, std::int64_t cols, int bits, std::int64_t group,
                       const py::array& codes, const py::array& masks, const py::array& starts,
                       const py::array& scale, const OptionalArray& zero) {
    return make_weight({rows, cols, bits, group}, {codes, masks, starts}, scale, zero);
  };
  py::class_<SparseArrays>(module, "SparseWeight")
      .def(py::init(make), arg("rows"), arg("cols"), arg("bits"), arg("group"), arg("codes"),
           arg("masks"), arg("starts"), arg("scale"), arg("zero") = py::none())
      .def_property_readonly("rows", [](const SparseArrays& self) { return self.size.rows; })
      .def_property_readonly("cols", [](const SparseArrays& self) { return self.size.cols; })
      .def_property_readonly("bits", [](const SparseArrays& self) { return self.size.bits; })
      .def_property_readonly("group", [](const SparseArrays& self) { return self.size.group; })
      .def_property_readonly("codes", [](const SparseArrays& self) { return self.parts.codes; })
      .def_property_readonly("masks", [](const SparseArrays& self) { return self.parts.masks; })
      .def_property_readonly("starts", [](const SparseArrays& self) { return self.parts.starts; })
      .def_readonly("scale", &SparseArrays::scale)
      .def_readonly("zero", &SparseArrays::zero);
  module.def("pack_sparse", &pack_sparse, arg("weight"), arg("keep"));
}

}  // namespace

void bind_sparse_linear(py::module_& module, IsaSet allowed) {
  using py::arg;
  bind_weight(module);
  bind_kernels(module, "sparse_linear_a8", "SparseLinearKernel", sparse_linear_a8_kernels())
      .def_property_readonly("bits", [](const SparseLinearKernel& kernel) { return kernel.bits; })
      .def("run", &run, arg("weight"), arg("x"), arg("bias") = py::none(),
           arg("pool") = py::none());
  module.def(
      "sparse_linear_a8_kernel",
      [allowed](int bits) {
        check_bits(bits);
        return &sparse_linear_a8_select(bits, allowed);
      },
      arg("bits"), py::return_value_policy::reference);
}

}  // namespace lamella
