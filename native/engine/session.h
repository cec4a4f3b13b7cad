// A program with memory of its own, ready to run. Sessions of one program share nothing but its
// constants, so that each may run in a thread of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/isa.h"
#include "base/span.h"
#include "base/status.h"
#include "base/threads.h"
#include "engine/memory.h"
#include "engine/op.h"
#include "engine/program.h"

namespace lamella {

struct SessionOptions {
  std::size_t threads = 1;
  // Sizes of the symbols that are chosen on opening; the others have their most.
  std::vector<std::pair<std::string, std::uint32_t>> symbols;
};

// Bytes that a session has: what the program says, and the scratch of its most demanding call.
struct MemoryUse {
  std::uint64_t weights;
  std::uint64_t arena;
  std::uint64_t state;
  std::uint64_t scratch;
};

// Told of each call when it has run: to profile or to compare.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void called(std::size_t call) = 0;
};

class Session {
 public:
  // `program` and `weights` must outlive the session. Checks everything that does not depend on
  // the inputs, at the largest sizes.
  static Status open(const Program& program, Span<std::uint8_t> weights,
                     const SessionOptions& options, std::unique_ptr<Session>* session);

  // Inputs are those of the program, in its order; their data is read while run() runs and must
  // lie at multiples of their elements' sizes.
  Status run(const std::vector<Tensor>& inputs, Observer* observer = nullptr);

  // An output of the last run, valid until the next.
  const Tensor& output(std::size_t i) const { return tensors_[program_.outputs[i].value]; }
  // A value, as the last call that wrote it left it.
  const Tensor& value(std::size_t i) const { return tensors_[i]; }

  // Fills the states with zeros.
  void forget();

  const Program& program() const { return program_; }
  const MemoryUse& memory() const { return memory_; }
  // The size of a symbol in the last run.
  std::uint32_t symbol(std::size_t i) const { return symbols_[i]; }

 private:
  struct Bound {
    const Op* op;
    Call call;
  };

  Session(const Program& program, Span<std::uint8_t> weights);

  Status prepare(const SessionOptions& options);
  Status choose_symbols(const SessionOptions& options);
  Status find_operations();
  Status reserve();
  Status set_sizes(const std::vector<std::uint32_t>& symbols);
  Status place(std::size_t value);
  Status check_calls();
  Status read_symbols(std::size_t i, const Tensor& given,
                      std::vector<std::uint32_t>* symbols) const;
  Status bind(const std::vector<Tensor>& inputs);
  Status failed(std::size_t call, const Status& status) const;

  const Program& program_;
  Span<std::uint8_t> weights_;
  IsaSet isa_ = isa::kNone;
  std::vector<std::uint32_t> symbols_;
  bool sized_ = false;  // whether the tensors have the sizes that the symbols say
  std::vector<Tensor> tensors_;
  std::vector<Bound> calls_;
  std::vector<std::size_t> fed_;  // the values that are inputs
  ZeroedMemory arena_;
  std::vector<ZeroedMemory> states_;
  std::vector<std::size_t> state_of_;  // for each value that is a state, its place in states_
  ZeroedMemory scratch_;
  MemoryUse memory_ = {};
  std::unique_ptr<ThreadPool> pool_;
};

}  // namespace lamella
