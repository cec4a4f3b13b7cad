#include "engine/session.h"

#include <algorithm>
#include <cstring>

#include "engine/check.h"

namespace lamella {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 40;

// Sets the sizes of a value; false where one is out of range or all bytes are too many.
bool measure(const Value& value, const std::vector<std::uint32_t>& symbols, Tensor* tensor) {
  std::size_t bytes = bytes_of(value.dtype);
  tensor->dtype = value.dtype;
  tensor->rank = value.rank;
  for (std::size_t i = 0; i < value.rank; ++i) {
    const std::int64_t size = size_of(value.axes[i], symbols);
    if (size < 0) return false;
    tensor->sizes[i] = static_cast<std::size_t>(size);
    if (__builtin_mul_overflow(bytes, tensor->sizes[i], &bytes) || bytes > kMostBytes) return false;
  }
  return true;
}

bool is_symbol(const Axis& axis, std::size_t symbol) {
  return axis.add == 0 && axis.mul == 1 && axis.mask == std::uint32_t{1} << symbol;
}

}  // namespace

Session::Session(const Program& program, Span<std::uint8_t> weights)
    : program_(program),
      weights_(weights),
      tensors_(program.values.size()),
      arena_(0),
      state_of_(program.values.size()),
      scratch_(0) {}

Status Session::open(const Program& program, Span<std::uint8_t> weights,
                     const SessionOptions& options, std::unique_ptr<Session>* session) {
  std::unique_ptr<Session> opened(new Session(program, weights));
  Status status = opened->prepare(options);
  if (status.ok()) *session = std::move(opened);
  return status;
}

Status Session::prepare(const SessionOptions& options) {
  if (weights_.size() != program_.weights) {
    return Status::failure("the program has " + std::to_string(program_.weights) +
                           " bytes of weights, but there are " + std::to_string(weights_.size()));
  }
  Status status = allowed_isa(&isa_);
  if (status.ok()) status = choose_symbols(options);
  if (status.ok()) status = find_operations();
  if (status.ok()) status = reserve();
  if (!status.ok()) return status;
  if (options.threads > 1) pool_ = std::make_unique<ThreadPool>(options.threads);
  const std::vector<std::uint32_t> largest = symbols_;
  return set_sizes(largest);
}

Status Session::choose_symbols(const SessionOptions& options) {
  for (const Symbol& symbol : program_.symbols) symbols_.push_back(symbol.most);
  for (const auto& [name, size] : options.symbols) {
    std::size_t i = 0;
    while (i < symbols_.size() && program_.symbols[i].name != name) ++i;
    if (i == symbols_.size() || program_.symbols[i].origin != Origin::kOpening) {
      return Status::failure("the program has no size " + name + " to choose");
    }
    if (size < program_.symbols[i].least || size > program_.symbols[i].most) {
      return Status::failure(name + " must lie from " + std::to_string(program_.symbols[i].least) +
                             " to " + std::to_string(program_.symbols[i].most) + ", not " +
                             std::to_string(size));
    }
    symbols_[i] = size;
  }
  return Status::success();
}

Status Session::find_operations() {
  std::vector<const Op*> found;
  for (const OperationName& row : program_.operations) {
    found.push_back(find_op(row.name, row.version));
    if (found.back() != nullptr) continue;
    return Status::failure("this engine has no operation " + row.name + " of version " +
                           std::to_string(row.version) + "; use a newer one");
  }
  for (const CallRow& row : program_.calls) {
    Call call{{}, row.integers, row.numbers, row.written};
    for (const std::uint32_t operand : row.operands) {
      call.operands.push_back(operand == kNone ? nullptr : &tensors_[operand]);
    }
    calls_.push_back({found[row.operation], std::move(call)});
  }
  for (std::size_t i = 0; i < program_.values.size(); ++i) {
    if (program_.values[i].place == Place::kInput) fed_.push_back(i);
  }
  return Status::success();
}

Status Session::reserve() {
  memory_ = {program_.weights, program_.arena, 0, 0};
  if (program_.arena > kMostBytes) return Status::failure("the arena is larger than 2^40 bytes");
  arena_ = ZeroedMemory(program_.arena);
  if (!arena_.ok()) {
    return Status::failure("there is not enough memory for an arena of " +
                           std::to_string(program_.arena) + " bytes");
  }
  for (std::size_t i = 0; i < program_.values.size(); ++i) {
    if (program_.values[i].place != Place::kState) continue;
    Tensor tensor{};
    if (!measure(program_.values[i], symbols_, &tensor)) {
      return Status::failure("state " + std::to_string(i) + " has a size out of range");
    }
    state_of_[i] = states_.size();
    states_.emplace_back(tensor.bytes());
    memory_.state += tensor.bytes();
    if (!states_.back().ok()) return Status::failure("there is not enough memory for the states");
  }
  return Status::success();
}

Status Session::set_sizes(const std::vector<std::uint32_t>& symbols) {
  sized_ = false;
  symbols_ = symbols;
  for (std::size_t i = 0; i < program_.values.size(); ++i) {
    const Status status = place(i);
    if (!status.ok()) return status;
  }
  const Status status = check_calls();
  sized_ = status.ok();
  return status;
}

Status Session::place(std::size_t i) {
  const Value& value = program_.values[i];
  Tensor& tensor = tensors_[i];
  if (!measure(value, symbols_, &tensor)) {
    return Status::failure("value " + std::to_string(i) + " has a size out of range");
  }
  if (value.place == Place::kState) tensor.data = states_[state_of_[i]].data();
  if (value.place > Place::kWeights) return Status::success();
  const bool constant = value.place == Place::kWeights;
  const std::uint64_t room = constant ? program_.weights : program_.arena;
  if (value.offset > room || tensor.bytes() > room - value.offset) {
    return Status::failure("value " + std::to_string(i) + ", " + text_of(tensor) +
                           ", does not fit where the program places it");
  }
  const std::uint8_t* base = constant ? weights_.begin() : arena_.data();
  tensor.data = const_cast<std::uint8_t*>(base + value.offset);
  return Status::success();
}

Status Session::check_calls() {
  const std::size_t threads = pool_ == nullptr ? 1 : pool_->threads();
  std::uint64_t scratch = memory_.scratch;
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    const Op& op = *calls_[i].op;
    const Status status = op.check(calls_[i].call);
    if (!status.ok()) return failed(i, status);
    if (op.scratch == nullptr) continue;
    scratch = std::max<std::uint64_t>(scratch, op.scratch(calls_[i].call, threads));
  }
  // The largest sizes, which come first, should need the most.
  if (scratch > memory_.scratch) {
    scratch_ = ZeroedMemory(scratch);
    if (!scratch_.ok()) return Status::failure("there is not enough memory for the scratch");
    memory_.scratch = scratch;
  }
  return Status::success();
}

Status Session::failed(std::size_t call, const Status& status) const {
  const CallRow& row = program_.calls[call];
  const std::string& label = program_.labels[row.label];
  return Status::failure("call " + std::to_string(call) + ", " + calls_[call].op->name +
                         (label.empty() ? "" : " of layer " + label) + ": " + status.sentence());
}

Status Session::read_symbols(std::size_t i, const Tensor& given,
                             std::vector<std::uint32_t>* symbols) const {
  const Port& port = program_.inputs[i];
  const Value& value = program_.values[port.value];
  if (given.dtype != value.dtype || given.rank != value.rank || given.data == nullptr) {
    return Status::failure("input " + port.name + " must be " + name_of(value.dtype) + " with " +
                           std::to_string(value.rank) + " axes, not " + text_of(given));
  }
  for (std::size_t axis = 0; axis < value.rank; ++axis) {
    for (std::size_t s = 0; s < symbols->size(); ++s) {
      const Symbol& symbol = program_.symbols[s];
      if (symbol.origin != Origin::kInput || !is_symbol(value.axes[axis], s)) continue;
      const std::size_t size = given.sizes[axis];
      if (size < symbol.least || size > symbol.most) {
        return Status::failure("axis " + std::to_string(axis) + " of input " + port.name +
                               " must be from " + std::to_string(symbol.least) + " to " +
                               std::to_string(symbol.most) + ", not " + std::to_string(size));
      }
      (*symbols)[s] = static_cast<std::uint32_t>(size);
    }
  }
  return Status::success();
}

Status Session::bind(const std::vector<Tensor>& inputs) {
  if (inputs.size() != program_.inputs.size()) {
    return Status::failure("the program has " + std::to_string(program_.inputs.size()) +
                           " inputs, but " + std::to_string(inputs.size()) + " were given");
  }
  std::vector<std::uint32_t> symbols = symbols_;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Status status = read_symbols(i, inputs[i], &symbols);
    if (!status.ok()) return status;
  }
  if (!sized_ || symbols != symbols_) {
    const Status status = set_sizes(symbols);
    if (!status.ok()) return status;
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& wanted = tensors_[program_.inputs[i].value];
    if (std::equal(wanted.sizes, wanted.sizes + wanted.rank, inputs[i].sizes)) continue;
    return Status::failure("input " + program_.inputs[i].name + " must be " + text_of(wanted) +
                           ", not " + text_of(inputs[i]));
  }
  for (const std::size_t value : fed_) {
    tensors_[value].data = inputs[program_.values[value].offset].data;
  }
  return Status::success();
}

Status Session::run(const std::vector<Tensor>& inputs, Observer* observer) {
  const Status bound = bind(inputs);
  if (!bound.ok()) return bound;
  const Context context{pool_.get(), isa_, scratch_.data()};
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    const Status status = calls_[i].op->run(calls_[i].call, context);
    if (!status.ok()) return failed(i, status);
    if (observer != nullptr) observer->called(i);
  }
  return Status::success();
}

void Session::forget() {
  for (std::size_t i = 0; i < program_.values.size(); ++i) {
    if (program_.values[i].place != Place::kState) continue;
    std::memset(tensors_[i].data, 0, tensors_[i].bytes());
  }
}

}  // namespace lamella
