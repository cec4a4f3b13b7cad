#include "bind/sample.h"

#include <pybind11/numpy.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "bind/arrays.h"
#include "bind/kernels.h"
#include "kernels/sample/sample.h"

namespace lamella {
namespace {

namespace py = pybind11;

std::size_t checked_count(const py::array& logits) {
  check_dimensions(logits, "logits", 1);
  const auto count = static_cast<std::size_t>(logits.shape(0));
  check_array(logits, "logits", py::dtype::of<float>(), {count});
  if (count > kMostTokens) {
    throw py::value_error("logits must have at most " + std::to_string(kMostTokens) +
                          " values, not " + std::to_string(count));
  }
  return count;
}

std::int32_t checked_token(std::int32_t token, std::size_t count) {
  if (token >= 0) return token;
  throw py::value_error("no token can be chosen: of the " + std::to_string(count) +
                        " logits one is NaN or plus infinity, or none is finite");
}

std::int32_t run_argmax(const SampleKernel& kernel, const py::array& logits) {
  check_runs(kernel);
  const std::size_t count = checked_count(logits);
  const auto* from = static_cast<const float*>(logits.data());
  std::int32_t token = -1;
  {
    const py::gil_scoped_release unlocked;
    token = kernel.calls->argmax(count, from);
  }
  return checked_token(token, count);
}

std::int32_t run_sample(const SampleKernel& kernel, const py::array& logits,
                        const Sampling& sampling) {
  check_runs(kernel);
  const std::size_t count = checked_count(logits);
  const SampleCall call{count, static_cast<const float*>(logits.data()), sampling};
  std::int32_t token = -1;
  {
    const py::gil_scoped_release unlocked;
    std::vector<float> powers(count);
    std::vector<std::uint64_t> keys(count);
    token = kernel.calls->sample(call, {powers.data(), keys.data()});
  }
  return checked_token(token, count);
}

Sampling make_sampling(float temperature, std::int64_t top_k, double top_p, std::int64_t seed,
                       std::int64_t step) {
  if (!(std::isfinite(temperature) && temperature >= 0)) {
    throw py::value_error("temperature must be finite and 0 or more, not " +
                          std::to_string(temperature));
  }
  if (!(top_p > 0 && top_p <= 1)) {
    throw py::value_error("top_p must be above 0 and at most 1, not " + std::to_string(top_p));
  }
  return {temperature, checked_size(top_k, "top_k", 0), top_p, checked_size(seed, "seed", 0),
          checked_size(step, "step", 0)};
}

}  // namespace

void bind_sample(py::module_& module, IsaSet allowed) {
  using py::arg;
  py::class_<Sampling>(module, "Sampling")
      .def(py::init(&make_sampling), arg("temperature") = 0.0f, arg("top_k") = 0,
           arg("top_p") = 1.0, arg("seed") = 0, arg("step") = 0);
  bind_kernel(module, "sample", "SampleKernel", sample_kernels(), sample_select(allowed))
      .def("argmax", &run_argmax, arg("logits"))
      .def("sample", &run_sample, arg("logits"), arg("sampling"));
}

}  // namespace lamella
