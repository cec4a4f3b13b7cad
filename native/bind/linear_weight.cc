#include "bind/linear_weight.h"

#include <pybind11/stl.h>

#include <algorithm>

#include "base/formats.h"
#include "bind/arrays.h"
#include "kernels/pack/pack.h"

namespace lamella {
namespace {

namespace py = pybind11;

using OptionalArray = std::optional<py::array>;

void check_size(const LinearSize& size) {
  checked_size(size.rows, "rows", 0);
  checked_size(size.cols, "cols", 0);
  if (size.bits == 1 || !packs(size.bits)) {
    throw py::value_error("bits must be 2, 3, 4, 5, 6 or 8, not " + std::to_string(size.bits));
  }
  const auto* known = std::find(std::begin(kGroups), std::end(kGroups), size.group);
  if (size.group == 0 || known != std::end(kGroups)) return;
  throw py::value_error("group must be 16, 32, 64, 128, or 0 for one scale per row, not " +
                        std::to_string(size.group));
}

// Scales of a packed row.
std::size_t grids_of(const LinearSize& size) {
  return lamella::grids_of(static_cast<std::size_t>(size.cols),
                           static_cast<std::size_t>(size.group));
}

// Scales of a row before it is packed.
std::size_t groups_of(const LinearSize& size) {
  if (size.group == 0) return 1;
  return lamella::groups_of(static_cast<std::size_t>(size.cols),
                            static_cast<std::size_t>(size.group));
}

py::dtype scale_dtype(const LinearSize& size) {
  return size.group == 0 ? py::dtype::of<float>() : py::dtype("float16");
}

// `Bits` has the width of the numbers; a number is not finite where its exponent is all ones.
template <typename Bits>
bool all_finite(const py::array& numbers, Bits exponent) {
  const auto* data = static_cast<const Bits*>(numbers.data());
  return std::none_of(data, data + numbers.size(),
                      [exponent](Bits bits) { return (bits & exponent) == exponent; });
}

void check_scale(const py::array& scale, const LinearSize& size) {
  const bool finite = size.group == 0 ? all_finite<std::uint32_t>(scale, 0x7f800000u)
                                      : all_finite<std::uint16_t>(scale, 0x7c00u);
  if (!finite) throw py::value_error("scale has a value that is infinite or not a number");
}

py::array empty_array(const py::dtype& dtype, const Extents& shape) {
  return py::array(dtype, std::vector<py::ssize_t>(shape.begin(), shape.end()));
}

template <typename Item>
py::array packed_grids(const py::array& items, const LinearSize& size) {
  const auto rows = static_cast<std::size_t>(size.rows);
  const std::size_t groups = groups_of(size), grids = grids_of(size);
  py::array packed = empty_array(items.dtype(), {strips_of(rows), grids, kStripRows});
  pack_grids(rows, groups, static_cast<const Item*>(items.data()),
             static_cast<Item*>(packed.mutable_data()), grids - groups);
  return packed;
}

py::array packed_codes(const py::array& codes, std::size_t rows, std::size_t cols, int bits) {
  py::array tiles =
      empty_array(codes.dtype(), {strips_of(rows), blocks_of(cols), tile_bytes(bits)});
  const auto* from = static_cast<const std::uint8_t*>(codes.data());
  auto* to = static_cast<std::uint8_t*>(tiles.mutable_data());
  const py::gil_scoped_release unlocked;
  pack_tiles(rows, cols, bits, from, to);
  return tiles;
}

LinearArrays pack_linear(const py::array& codes, const py::array& scale, const OptionalArray& zero,
                         int bits, std::int64_t group) {
  check_dimensions(codes, "codes", 2);
  const LinearSize size{codes.shape(0), codes.shape(1), bits, group};
  check_size(size);
  const auto rows = static_cast<std::size_t>(size.rows);
  const auto cols = static_cast<std::size_t>(size.cols);
  const Extents grids{rows, groups_of(size)};
  const auto bytes = py::dtype::of<std::uint8_t>();
  check_array(codes, "codes", bytes, {rows, cols});
  check_codes(codes, "codes", bits);
  check_array(scale, "scale", scale_dtype(size), grids);
  OptionalArray zeros;
  if (zero) {
    check_array(*zero, "zero", bytes, grids);
    zeros = packed_grids<std::uint8_t>(*zero, size);
  }
  return LinearArrays(
      size, packed_codes(codes, rows, cols, bits),
      group == 0 ? packed_grids<float>(scale, size) : packed_grids<std::uint16_t>(scale, size),
      zeros);
}

}  // namespace

void check_grids(const LinearSize& size, const py::array& scale, const OptionalArray& zero) {
  check_size(size);
  const Extents grids{strips_of(static_cast<std::size_t>(size.rows)), grids_of(size), kStripRows};
  check_array(scale, "scale", scale_dtype(size), grids);
  check_scale(scale, size);
  if (!zero) return;
  check_array(*zero, "zero", py::dtype::of<std::uint8_t>(), grids);
  check_codes(*zero, "zero", size.bits);
}

LinearWeight view_of_grids(const LinearSize& size, const py::array& scale,
                           const OptionalArray& zero) {
  const bool grouped = size.group != 0;
  LinearWeight weight{};
  weight.rows = static_cast<std::size_t>(size.rows);
  weight.cols = static_cast<std::size_t>(size.cols);
  weight.bits = size.bits;
  weight.grids = grids_of(size);
  weight.grid_shift = grid_shift_of(static_cast<std::size_t>(size.group));
  weight.half_scale = grouped ? static_cast<const std::uint16_t*>(scale.data()) : nullptr;
  weight.row_scale = grouped ? nullptr : static_cast<const float*>(scale.data());
  weight.zero = zero ? static_cast<const std::uint8_t*>(zero->data()) : nullptr;
  return weight;
}

LinearArrays::LinearArrays(const LinearSize& size, const py::array& codes, const py::array& scale,
                           const OptionalArray& zero)
    : size_(size), codes_(codes), scale_(scale), zero_(zero) {
  check_size(size);
  const std::size_t strips = strips_of(static_cast<std::size_t>(size.rows));
  const std::size_t blocks = blocks_of(static_cast<std::size_t>(size.cols));
  const auto bytes = py::dtype::of<std::uint8_t>();
  check_array(codes, "codes", bytes, {strips, blocks, tile_bytes(size.bits)});
  check_grids(size, scale, zero);
}

LinearWeight LinearArrays::view() const {
  LinearWeight weight = view_of_grids(size_, scale_, zero_);
  weight.codes = static_cast<const std::uint8_t*>(codes_.data());
  return weight;
}

void bind_linear_weight(py::module_& module) {
  using py::arg;
  const auto make = [](std::int64_t rows, std::int64_t cols, int bits, std::int64_t group,
                       const py::array& codes, const py::array& scale, const OptionalArray& zero) {
    return LinearArrays({rows, cols, bits, group}, codes, scale, zero);
  };
  py::class_<LinearArrays>(module, "LinearWeight")
      .def(py::init(make), arg("rows"), arg("cols"), arg("bits"), arg("group"), arg("codes"),
           arg("scale"), arg("zero") = py::none())
      .def_property_readonly("rows", [](const LinearArrays& self) { return self.size().rows; })
      .def_property_readonly("cols", [](const LinearArrays& self) { return self.size().cols; })
      .def_property_readonly("bits", [](const LinearArrays& self) { return self.size().bits; })
      .def_property_readonly("group", [](const LinearArrays& self) { return self.size().group; })
      .def_property_readonly("codes", &LinearArrays::codes)
      .def_property_readonly("scale", &LinearArrays::scale)
      .def_property_readonly("zero", &LinearArrays::zero);
  module.def("pack_linear", &pack_linear, arg("codes"), arg("scale"), arg("zero"), arg("bits"),
             arg("group"));
}

}  // namespace lamella
