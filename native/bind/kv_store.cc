#include "bind/kv_store.h"

#include <pybind11/numpy.h>

#include <string>
#include <vector>

#include "bind/arrays.h"
#include "bind/cache.h"
#include "bind/kernels.h"
#include "bind/threads.h"
#include "kernels/kv_store/kv_store.h"

namespace lamella {
namespace {

namespace py = pybind11;

// Raises ValueError unless each place is one of the cache and none comes twice.
void check_places(const std::int32_t* place, std::size_t tokens, std::size_t positions) {
  std::vector<bool> taken(positions);
  for (std::size_t token = 0; token < tokens; ++token) {
    const auto at = static_cast<std::size_t>(place[token]);
    const bool inside = place[token] >= 0 && at < positions;
    if (inside && !taken[at]) {
      taken[at] = true;
      continue;
    }
    throw py::value_error(
        "the place " + std::to_string(place[token]) + " of token " + std::to_string(token) +
        (inside ? " is that of an earlier token, too; store them in two calls"
                : " is outside the cache, which has " + std::to_string(positions)));
  }
}

void run(const KvStoreKernel& kernel, const py::array& x, const CacheArrays& cache,
         const py::array& place, ThreadPool* pool) {
  check_runs(kernel);
  if (!cache.writeable())
    throw py::value_error("the cache is read-only; make it of arrays that can be written to");
  check_dimensions(x, "x", 3);
  const auto tokens = static_cast<std::size_t>(x.shape(0));
  const Cache view = cache.view();
  check_array(x, "x", py::dtype::of<float>(), {tokens, view.kv_heads, view.head_dim});
  check_array(place, "place", py::dtype::of<std::int32_t>(), {tokens});
  const auto* places = static_cast<const std::int32_t*>(place.data());
  check_places(places, tokens, cache.positions());
  const KvStoreCall call{static_cast<const float*>(x.data()), places, view};
  const py::gil_scoped_release unlocked;
  run_slices(pool, tokens, [&](Slice slice) { kernel.run(call, slice); });
}

}  // namespace

void bind_kv_store(py::module_& module, IsaSet allowed) {
  using py::arg;
  bind_kernel(module, "kv_store", "KvStoreKernel", kv_store_kernels(), kv_store_select(allowed))
      .def("run", &run, arg("x"), arg("cache"), arg("place"), arg("pool") = py::none());
}

}  // namespace lamella
