// The registry of an operation: one row for each kernel of its kernels.inc, and the choice of one.
//
// <op>_kernels() are the kernels of this build, best first; where they take weights of several
// kinds, those of one kind best first. <op>_select() is the best that `host` can run: the last of
// the kernels, or of a kind, needs nothing.
#pragma once

#include "base/isa.h"
#include "base/span.h"

namespace lamella {

// What a row of any operation has; the operation adds what is called.
struct Kernel {
  const char* name;  // what tests and benchmarks print
  IsaSet needs;      // what the host must offer
};

template <typename Row>
const Row& select_kernel(const Row* row, IsaSet host) {
  while (!runs_on(row->needs, host)) ++row;
  return *row;
}

// The same among the rows whose `member` is `kind`.
template <typename Row, typename Kind>
const Row& select_kernel(const Row* row, Kind Row::* member, Kind kind, IsaSet host) {
  while (row->*member != kind || !runs_on(row->needs, host)) ++row;
  return *row;
}

}  // namespace lamella
