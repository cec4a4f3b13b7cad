#include "engine/op.h"

// A build for one file has a list of its own.
#if !defined(LAMELLA_OPS)
#define LAMELLA_OPS "engine/ops.inc"
#endif

namespace lamella {

#define LAMELLA_OP(name) extern const Op kOp_##name;
#include LAMELLA_OPS
#undef LAMELLA_OP

const std::vector<const Op*>& all_ops() {
  static const std::vector<const Op*> all = {
#define LAMELLA_OP(name) &kOp_##name,
#include LAMELLA_OPS
#undef LAMELLA_OP
  };
  return all;
}

const Op* find_op(const std::string& name, std::uint16_t version) {
  for (const Op* op : all_ops()) {
    if (op->version == version && name == op->name) return op;
  }
  return nullptr;
}

}  // namespace lamella
