#include "bind/cache.h"

#include <pybind11/stl.h>

#include <string>

#include "bind/arrays.h"

namespace lamella {
namespace {

namespace py = pybind11;

CacheFormat format_of(const py::array& data) {
  const py::dtype dtype = data.dtype();
  if (dtype.equal(py::dtype::of<float>())) return CacheFormat::kFloat32;
  if (dtype.equal(py::dtype("float16"))) return CacheFormat::kFloat16;
  if (dtype.equal(py::dtype::of<std::int8_t>())) return CacheFormat::kInt8;
  if (dtype.equal(py::dtype::of<std::uint8_t>())) return CacheFormat::kInt4;
  throw py::value_error(
      "data must be float32, float16, int8, or uint8 for two 4-bit codes a byte, " +
      std::string("not ") + py::str(dtype).cast<std::string>());
}

bool is_writeable(const py::array& array) {
  return (array.flags() & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0;
}

void check_scale(const std::optional<py::array>& scale, const py::array& data) {
  const bool wanted = has_scale(format_of(data));
  if (scale.has_value() != wanted) {
    throw py::value_error(std::string(wanted ? "a cache of integers needs a scale"
                                             : "a cache of floats has no scale, but one is given"));
  }
  if (!wanted) return;
  check_array(*scale, "scale", py::dtype::of<float>(),
              {static_cast<std::size_t>(data.shape(0)), static_cast<std::size_t>(data.shape(1))});
}

}  // namespace

CacheArrays::CacheArrays(const py::array& data, std::int64_t head_dim,
                         const std::optional<py::array>& scale)
    : data_(data), head_dim_(checked_size(head_dim, "head_dim", 1)), scale_(scale) {
  const CacheFormat format = format_of(data);
  check_dimensions(data, "data", 3);
  const auto positions = static_cast<std::size_t>(data.shape(0));
  const auto kv_heads = checked_size(data.shape(1), "the number of heads of a cache", 1);
  const std::size_t items =
      format == CacheFormat::kInt4 ? cache_row_bytes(format, head_dim_) : head_dim_;
  check_array(data, "data", data.dtype(), {positions, kv_heads, items});
  if (positions > INT32_MAX) {
    throw py::value_error("a cache has at most 2^31 - 1 positions, not " +
                          std::to_string(positions));
  }
  check_scale(scale, data);
}

bool CacheArrays::writeable() const {
  return is_writeable(data_) && (!scale_ || is_writeable(*scale_));
}

Cache CacheArrays::view() const {
  // The kernels that only read take the same struct.
  auto* codes = static_cast<std::uint8_t*>(const_cast<void*>(data_.data()));
  auto* scale = scale_ ? static_cast<float*>(const_cast<void*>(scale_->data())) : nullptr;
  return {format_of(data_), static_cast<std::size_t>(data_.shape(1)), head_dim_, codes, scale};
}

void bind_cache(py::module_& module) {
  using py::arg;
  py::class_<CacheArrays>(module, "KvCache")
      .def(py::init<const py::array&, std::int64_t, const std::optional<py::array>&>(), arg("data"),
           arg("head_dim"), arg("scale") = py::none())
      .def_property_readonly("data", &CacheArrays::data)
      .def_property_readonly("scale", &CacheArrays::scale)
      .def_property_readonly("head_dim",
                             [](const CacheArrays& self) { return self.view().head_dim; });
}

}  // namespace lamella
