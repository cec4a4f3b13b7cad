#include "bind/pack.h"

#include <pybind11/numpy.h>

#include <string>

#include "base/formats.h"
#include "bind/arrays.h"
#include "bind/kernels.h"
#include "kernels/pack/pack.h"

namespace lamella {
namespace {

namespace py = pybind11;

void check_bits(int bits) {
  if (packs(bits)) return;
  std::string widths = "1";
  for (const int width : kWeightBits) widths += ", " + std::to_string(width);
  throw py::value_error("bits must be one of " + widths + ", not " + std::to_string(bits));
}

void check_codes(const Bytes& codes, int bits) {
  const std::uint8_t* data = codes.data();
  const auto count = static_cast<std::size_t>(codes.size());
  unsigned all = 0;
  for (std::size_t i = 0; i < count; ++i) all |= data[i];
  if (all >> bits == 0) return;
  std::size_t worst = 0;
  while (data[worst] >> bits == 0) ++worst;
  const std::size_t cols = extent(codes, 1);
  throw py::value_error("the code " + std::to_string(data[worst]) + " at row " +
                        std::to_string(worst / cols) + ", column " + std::to_string(worst % cols) +
                        " does not fit " + std::to_string(bits) + " bits");
}

Bytes empty_matrix(std::size_t rows, std::size_t cols) {
  return Bytes({static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(cols)});
}

Bytes pack(const PackKernel& kernel, const py::array& codes, int bits) {
  check_runs(kernel);
  check_bits(bits);
  const Bytes in = checked_bytes(codes, "codes", 2);
  const PackShape shape{extent(in, 0), extent(in, 1), bits};
  check_codes(in, bits);
  Bytes out = empty_matrix(shape.rows, packed_row_bytes(shape.cols, bits));
  const std::uint8_t* from = in.data();
  std::uint8_t* to = out.mutable_data();
  const py::gil_scoped_release unlocked;
  kernel.calls->pack(shape, from, to);
  return out;
}

Bytes unpack(const PackKernel& kernel, const py::array& packed, std::int64_t cols, int bits) {
  check_runs(kernel);
  check_bits(bits);
  const Bytes in = checked_bytes(packed, "packed", 2);
  const PackShape shape{extent(in, 0), checked_size(cols, "cols", 0), bits};
  check_shape(in, "packed", shape.rows, packed_row_bytes(shape.cols, bits));
  Bytes out = empty_matrix(shape.rows, shape.cols);
  const std::uint8_t* from = in.data();
  std::uint8_t* to = out.mutable_data();
  const py::gil_scoped_release unlocked;
  kernel.calls->unpack(shape, from, to);
  return out;
}

Bytes compact(const PackKernel& kernel, const py::array& codes, const py::array& mask) {
  check_runs(kernel);
  const Bytes in = checked_bytes(codes, "codes", 2);
  const Bytes bits = checked_bytes(mask, "mask", 2);
  const std::size_t rows = extent(in, 0);
  const std::size_t cols = extent(in, 1);
  check_shape(bits, "mask", rows, packed_row_bytes(cols, 1));
  const MaskShape shape{rows, cols, kept_codes(rows, cols, bits.data())};
  Bytes out(static_cast<py::ssize_t>(shape.kept));
  const std::uint8_t* from = in.data();
  const std::uint8_t* where = bits.data();
  std::uint8_t* to = out.mutable_data();
  const py::gil_scoped_release unlocked;
  kernel.calls->compact(shape, from, where, to);
  return out;
}

void check_zero(const Bytes& zero, const MaskShape& shape, std::size_t group) {
  if (group % 8 != 0 && group < shape.cols) {
    throw py::value_error("group must be a multiple of 8 or at least " +
                          std::to_string(shape.cols) + ", not " + std::to_string(group));
  }
  check_shape(zero, "zero", shape.rows, groups_of(shape.cols, group));
}

Bytes expand(const PackKernel& kernel, const py::array& kept, const py::array& mask,
             const py::array& zero, std::int64_t cols, std::int64_t group) {
  check_runs(kernel);
  const Bytes in = checked_bytes(kept, "kept", 1);
  const Bytes bits = checked_bytes(mask, "mask", 2);
  const Bytes zeros = checked_bytes(zero, "zero", 2);
  const MaskShape shape{extent(bits, 0), checked_size(cols, "cols", 0), extent(in, 0)};
  check_shape(bits, "mask", shape.rows, packed_row_bytes(shape.cols, 1));
  const std::size_t ones = kept_codes(shape.rows, shape.cols, bits.data());
  if (ones != shape.kept) {
    throw py::value_error("mask keeps " + std::to_string(ones) + " codes, but kept holds " +
                          std::to_string(shape.kept));
  }
  const ZeroCodes fill{zeros.data(), checked_size(group, "group", 1)};
  check_zero(zeros, shape, fill.group);
  Bytes out = empty_matrix(shape.rows, shape.cols);
  const std::uint8_t* from = in.data();
  const std::uint8_t* where = bits.data();
  std::uint8_t* to = out.mutable_data();
  const py::gil_scoped_release unlocked;
  kernel.calls->expand(shape, from, where, fill, to);
  return out;
}

}  // namespace

void bind_pack(py::module_& module, IsaSet allowed) {
  using py::arg;
  bind_kernel(module, "pack", "PackKernel", pack_kernels(), pack_select(allowed))
      .def("pack", &pack, arg("codes"), arg("bits"))
      .def("unpack", &unpack, arg("packed"), arg("cols"), arg("bits"))
      .def("compact", &compact, arg("codes"), arg("mask"))
      .def("expand", &expand, arg("kept"), arg("mask"), arg("zero"), arg("cols"), arg("group"));
}

}  // namespace lamella
