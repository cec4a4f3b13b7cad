#include "bind/attention.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "bind/arrays.h"
#include "bind/cache.h"
#include "bind/kernels.h"
#include "bind/threads.h"
#include "kernels/attention/attention.h"

namespace lamella {
namespace {

namespace py = pybind11;

using Floats = py::array_t<float, py::array::c_style>;

// The arrays of an AttentionMask, each of one dimension: positions, or `kept`, or none of them.
struct MaskArrays {
  std::optional<py::array> query_position;
  std::optional<py::array> key_position;
  std::int32_t window;
  std::optional<py::array> kept;
};

std::size_t length_of(const py::array& array, const char* name) {
  check_dimensions(array, name, 1);
  return static_cast<std::size_t>(array.shape(0));
}

MaskArrays causal_mask(const py::array& query_position, const py::array& key_position,
                       std::int64_t window) {
  const auto numbers = py::dtype::of<std::int32_t>();
  check_array(query_position, "query_position", numbers,
              {length_of(query_position, "query_position")});
  check_array(key_position, "key_position", numbers, {length_of(key_position, "key_position")});
  if (checked_size(window, "window", 0) > INT32_MAX) {
    throw py::value_error("window must be below 2^31, or 0 for none, not " +
                          std::to_string(window));
  }
  return {query_position, key_position, static_cast<std::int32_t>(window), std::nullopt};
}

MaskArrays padding_mask(const std::optional<py::array>& kept) {
  if (kept) check_array(*kept, "kept", py::dtype::of<bool>(), {length_of(*kept, "kept")});
  return {std::nullopt, std::nullopt, 0, kept};
}

void check_length(const std::optional<py::array>& array, const char* name, std::size_t wanted) {
  if (!array || static_cast<std::size_t>(array->shape(0)) == wanted) return;
  throw py::value_error(std::string(name) + " of the mask must have the length " +
                        std::to_string(wanted) + ", not " + std::to_string(array->shape(0)));
}

template <typename Item>
const Item* data_of(const std::optional<py::array>& array) {
  return array ? static_cast<const Item*>(array->data()) : nullptr;
}

void check_caches(const CacheArrays& keys, const CacheArrays& values) {
  const Cache key = keys.view(), value = values.view();
  if (keys.positions() == values.positions() && key.kv_heads == value.kv_heads &&
      key.head_dim == value.head_dim) {
    return;
  }
  const auto text = [](const CacheArrays& arrays, const Cache& cache) {
    return "(" + std::to_string(arrays.positions()) + ", " + std::to_string(cache.kv_heads) + ", " +
           std::to_string(cache.head_dim) + ")";
  };
  throw py::value_error("keys are " + text(keys, key) + ", but values " + text(values, value));
}

AttentionCall checked_call(const py::array& query, const CacheArrays& keys,
                           const CacheArrays& values, const MaskArrays& mask, float scale) {
  check_caches(keys, values);
  const Cache cache = keys.view();
  check_dimensions(query, "query", 3);
  const auto tokens = static_cast<std::size_t>(query.shape(0));
  const auto heads = static_cast<std::size_t>(query.shape(1));
  check_array(query, "query", py::dtype::of<float>(), {tokens, heads, cache.head_dim});
  if (heads % cache.kv_heads != 0) {
    throw py::value_error("query has " + std::to_string(heads) +
                          " heads, which is no multiple of the " + std::to_string(cache.kv_heads) +
                          " heads of the cache");
  }
  check_length(mask.query_position, "query_position", tokens);
  check_length(mask.key_position, "key_position", keys.positions());
  check_length(mask.kept, "kept", keys.positions());
  if (!std::isfinite(scale)) {
    throw py::value_error("scale must be finite, not " + std::to_string(scale));
  }
  const AttentionMask view{data_of<std::int32_t>(mask.query_position),
                           data_of<std::int32_t>(mask.key_position), mask.window,
                           data_of<std::uint8_t>(mask.kept)};
  const auto* from = static_cast<const float*>(query.data());
  return {tokens, heads, keys.positions(), from, cache, values.view(), view, scale, nullptr};
}

Floats run(const AttentionKernel& kernel, const py::array& query, const CacheArrays& keys,
           const CacheArrays& values, const MaskArrays& mask, float scale, ThreadPool* pool) {
  check_runs(kernel);
  AttentionCall call = checked_call(query, keys, values, mask, scale);
  Floats y({query.shape(0), query.shape(1), query.shape(2)});
  call.y = y.mutable_data();
  const py::gil_scoped_release unlocked;
  const std::size_t threads = pool == nullptr ? 1 : pool->threads();
  const std::size_t floats = call.scratch_floats();
  std::vector<std::int32_t> seen(threads * call.positions);
  std::vector<float> rows(threads * floats);
  run_parts(pool, call.units(), [&](std::size_t part, Slice units) {
    kernel.run(call, {seen.data() + part * call.positions, rows.data() + part * floats}, units);
  });
  return y;
}

}  // namespace

void bind_attention(py::module_& module, IsaSet allowed) {
  using py::arg;
  bind_cache(module);
  py::class_<MaskArrays>(module, "AttentionMask");
  module.def("causal_mask", &causal_mask, arg("query_position"), arg("key_position"),
             arg("window") = 0);
  module.def("padding_mask", &padding_mask, arg("kept") = py::none());
  bind_kernel(module, "attention", "AttentionKernel", attention_kernels(),
              attention_select(allowed))
      .def("run", &run, arg("query"), arg("keys"), arg("values"), arg("mask"), arg("scale"),
           arg("pool") = py::none());
}

}  // namespace lamella
