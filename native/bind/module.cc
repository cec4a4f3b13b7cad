// lamella._native: the Python face of the kernels. sdk/lamella/_native.pyi states its types.
#include <pybind11/pybind11.h>

#include <stdexcept>

#include "base/formats.h"
#include "base/isa.h"
#include "bind/artifact.h"
#include "bind/attention.h"
#include "bind/bandwidth.h"
#include "bind/cpuid_mask.h"
#include "bind/elementwise.h"
#include "bind/embed.h"
#include "bind/engine.h"
#include "bind/float_ops.h"
#include "bind/generate.h"
#include "bind/image_ops.h"
#include "bind/kernels.h"
#include "bind/kv_store.h"
#include "bind/linear.h"
#include "bind/linear_float.h"
#include "bind/pack.h"
#include "bind/peak.h"
#include "bind/quantize.h"
#include "bind/sample.h"
#include "bind/sparse_linear.h"
#include "bind/static_ops.h"
#include "bind/threads.h"
#include "bind/tokenizer.h"
#include "bind/transpose.h"
#include "bind/window.h"

namespace lamella {
namespace {

namespace py = pybind11;

template <std::size_t kSize>
py::tuple to_tuple(const int (&values)[kSize]) {
  py::tuple result(kSize);
  for (std::size_t i = 0; i < kSize; ++i) result[i] = values[i];
  return result;
}

py::dict formats() {
  py::dict table;
  table["weight_bits"] = to_tuple(kWeightBits);
  table["groups"] = to_tuple(kGroups);
  return table;
}

// The names of the instruction sets in `set`; "portable" needs none and is always there.
py::list names_in(IsaSet set) {
  py::list names;
  for (const IsaName& row : isa_names()) {
    if (runs_on(row.set, set)) names.append(row.name);
  }
  return names;
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  module.doc() = "Kernels of lamella; see native/KERNELS.md.";
  IsaSet allowed = isa::kNone;
  const Status status = allowed_isa(&allowed);
  // pybind11 turns what a module throws while it loads into an ImportError.
  if (!status.ok()) throw std::runtime_error(status.sentence());
  module.def("formats", &formats);
  module.def("isa", [allowed] { return names_in(allowed); });
  module.def("isa_of_this_processor", [] { return names_in(detect_isa()); });
  bind_bandwidth(module);
  bind_cpuid_mask(module);
  bind_kernel_list(module, allowed);
  bind_threads(module);
  bind_window(module);
  bind_pack(module, allowed);
  bind_linear(module, allowed);
  bind_linear_float(module, allowed);
  bind_sparse_linear(module, allowed);
  bind_elementwise(module, allowed);
  bind_float_ops(module, allowed);
  bind_attention(module, allowed);
  bind_kv_store(module, allowed);
  bind_embed(module, allowed);
  bind_sample(module, allowed);
  bind_quantize(module, allowed);
  bind_transpose(module, allowed);
  bind_static_ops(module, allowed);
  bind_image_ops(module, allowed);
  bind_peak(module, allowed);
  bind_engine(module);
  bind_artifact(module);
  bind_tokenizer(module);
  bind_generate(module);
}

}  // namespace lamella
