#include "bind/quantize.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "bind/arrays.h"
#include "bind/kernels.h"
#include "bind/threads.h"
#include "kernels/quantize/quantize.h"

namespace lamella {
namespace {

namespace py = pybind11;

bool is_signed(const py::array& codes) { return codes.dtype().equal(py::dtype::of<std::int8_t>()); }

// The dtype of codes, which zero points have too.
void check_byte(const py::array& codes, const char* name) {
  check_kind(codes, name, is_signed(codes) ? codes.dtype() : py::dtype::of<std::uint8_t>());
}

// The grids of the last axis of an array, as kernels take them.
class GridArrays {
 public:
  GridArrays(const py::array& x, const py::array& scale, const py::array& zero)
      : signed_(is_signed(zero)) {
    check_kind(scale, "scale", py::dtype::of<float>());
    const py::ssize_t last = x.ndim() == 0 ? 1 : x.shape(x.ndim() - 1);
    if (scale.size() != 1 || scale.ndim() != 1) check_shape(scale, "scale", {last});
    check_byte(zero, "zero");
    check_shape(zero, "zero", shape_of(scale));
    const auto channels = static_cast<std::size_t>(scale.size());
    fill(channels, static_cast<const float*>(scale.data()),
         static_cast<const std::uint8_t*>(zero.data()));
  }

  Grids view() const { return {scale_.size(), scale_.data(), zero_.data(), inverted()}; }

 private:
  std::uint8_t inverted() const { return signed_ ? 128 : 0; }

  void fill(std::size_t channels, const float* scale, const std::uint8_t* zero) {
    const std::size_t period = channels == 0 ? 0 : period_of(channels);
    for (std::size_t i = 0; i < period; ++i) {
      const std::size_t channel = i % channels;
      if (!(scale[channel] > 0) || !std::isfinite(scale[channel])) {
        throw py::value_error("the scale of channel " + std::to_string(channel) +
                              " must be positive and finite, not " +
                              py::str(py::float_(scale[channel])).cast<std::string>());
      }
      scale_.push_back(scale[channel]);
      zero_.push_back(static_cast<float>(zero[channel] ^ inverted()));
    }
  }

  bool signed_;
  std::vector<float> scale_;
  std::vector<float> zero_;
};

// Calls body(Slice) for parts of the elements that begin where kernels may begin.
template <typename Body>
void run_blocks(ThreadPool* pool, std::size_t count, const Body& body) {
  const std::size_t blocks = (count + kQuantizeBlock - 1) / kQuantizeBlock;
  run_slices(pool, blocks, [&](Slice slice) {
    body(Slice{slice.begin * kQuantizeBlock, std::min(slice.end * kQuantizeBlock, count)});
  });
}

py::array quantize(const QuantizeKernel& kernel, const py::array& x, const py::array& scale,
                   const py::array& zero, ThreadPool* pool) {
  check_runs(kernel);
  const auto in = checked<float>(x, "x");
  const GridArrays arrays(x, scale, zero);
  const Grids grids = arrays.view();
  py::array codes(zero.dtype(), shape_of(x));
  const float* from = in.data();
  auto* to = static_cast<std::uint8_t*>(codes.mutable_data());
  const auto count = static_cast<std::size_t>(x.size());
  const py::gil_scoped_release unlocked;
  run_blocks(pool, count, [&](Slice some) { kernel.calls->quantize(grids, from, to, some); });
  return codes;
}

py::array dequantize(const QuantizeKernel& kernel, const py::array& codes, const py::array& scale,
                     const py::array& zero, ThreadPool* pool) {
  check_runs(kernel);
  check_byte(codes, "codes");
  const GridArrays arrays(codes, scale, zero);
  check_kind(codes, "codes", zero.dtype());
  const Grids grids = arrays.view();
  py::array_t<float> x(shape_of(codes));
  const auto* from = static_cast<const std::uint8_t*>(codes.data());
  float* to = x.mutable_data();
  const auto count = static_cast<std::size_t>(codes.size());
  const py::gil_scoped_release unlocked;
  run_blocks(pool, count, [&](Slice some) { kernel.calls->dequantize(grids, from, to, some); });
  return x;
}

}  // namespace

void bind_quantize(py::module_& module, IsaSet allowed) {
  using py::arg;
  bind_kernel(module, "quantize", "QuantizeKernel", quantize_kernels(), quantize_select(allowed))
      .def("quantize", &quantize, arg("x"), arg("scale"), arg("zero"), arg("pool") = py::none())
      .def("dequantize", &dequantize, arg("codes"), arg("scale"), arg("zero"),
           arg("pool") = py::none());
}

}  // namespace lamella
