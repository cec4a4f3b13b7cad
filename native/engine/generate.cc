#include "engine/generate.h"

#include <algorithm>
#include <string>

#include "engine/check.h"

namespace lamella {
namespace {

// The place of a name in a list, or -1.
template <typename Rows>
std::ptrdiff_t find(const Rows& rows, const char* name) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].name == name) return static_cast<std::ptrdiff_t>(i);
  }
  return -1;
}

Tensor vector_of(std::vector<std::int32_t>& items) {
  return {DType::kI32, 1, {items.size()}, items.data()};
}

Status no_decoder(const std::string& flaw) {
  return Status::failure("the program is no decoder that generates text: " + flaw);
}

// The widest window of the attention of a program, or 0 where a layer sees all tokens.
std::size_t widest_window(const Program& program) {
  std::size_t widest = 0;
  for (const CallRow& call : program.calls) {
    if (program.operations[call.operation].name != "attention") continue;
    if (call.integers.size() < 2 || call.integers[1] <= 0) return 0;
    widest = std::max(widest, static_cast<std::size_t>(call.integers[1]));
  }
  return widest;
}

}  // namespace

Status Generator::open(std::unique_ptr<Session> session, std::unique_ptr<Generator>* generator) {
  std::unique_ptr<Generator> opened(new Generator(std::move(session)));
  const Status status = opened->prepare();
  if (status.ok()) *generator = std::move(opened);
  return status;
}

Status Generator::prepare() {
  const Program& program = session_->program();
  const Status found = find_symbols();
  if (!found.ok()) return found;
  if (program.outputs.size() != 1 || program.outputs[0].name != "logits") {
    return no_decoder("its output is not logits");
  }
  const Tensor& logits = session_->output(0);
  if (logits.dtype != DType::kF32 || logits.rank != 2 || logits.sizes[0] != most_rows_ ||
      logits.sizes[1] == 0 || logits.sizes[1] > kMostTokens) {
    return no_decoder("its logits are " + text_of(logits));
  }
  vocabulary_ = logits.sizes[1];
  IsaSet isa = isa::kNone;
  const Status allowed = allowed_isa(&isa);
  if (!allowed.ok()) return allowed;
  sample_ = sample_select(isa).calls;
  find_limits();
  key_positions_.assign(capacity_, -1);
  powers_.resize(vocabulary_);
  keys_.resize(vocabulary_);
  return Status::success();
}

Status Generator::find_symbols() {
  const Program& program = session_->program();
  for (const char* name : {"ids", "positions", "places", "key_positions", "rows"}) {
    if (find(program.inputs, name) < 0) return no_decoder(std::string("it has no input ") + name);
  }
  if (program.inputs.size() != 5) return no_decoder("it has more than five inputs");
  std::size_t* const sizes[] = {&block_, &most_rows_, &capacity_, &most_length_};
  const char* const names[] = {"tokens", "rows", "capacity", "capacity"};
  for (std::size_t i = 0; i < 4; ++i) {
    const std::ptrdiff_t at = find(program.symbols, names[i]);
    if (at < 0) return no_decoder(std::string("it has no size ") + names[i]);
    const auto symbol = static_cast<std::size_t>(at);
    *sizes[i] = i == 3 ? program.symbols[symbol].most : session_->symbol(symbol);
    if (*sizes[i] == 0) return no_decoder(std::string(names[i]) + " is 0");
  }
  return Status::success();
}

void Generator::find_limits() {
  block_ = std::min(block_, capacity_);
  const std::size_t window = widest_window(session_->program());
  if (window == 0 || window > capacity_) {
    most_length_ = capacity_;
  } else if (most_length_ > capacity_) {
    // What the first token of a run sees must not be written over by the last.
    block_ = std::min(block_, capacity_ - window + 1);
  }
  most_rows_ = std::min(most_rows_, block_);
}

void Generator::reset() {
  length_ = 0;
  pending_.clear();
  std::fill(key_positions_.begin(), key_positions_.end(), -1);
}

const float* Generator::logits(std::size_t i) const {
  return session_->output(0).as<const float>() + i * vocabulary_;
}

Status Generator::append(Span<std::int32_t> ids, std::size_t rows) {
  const std::size_t wanted = length() + ids.size();
  if (rows == 0 || rows > most_rows_ || rows > ids.size()) {
    return Status::failure("logits of " + std::to_string(rows) + " tokens are wanted; there are " +
                           std::to_string(ids.size()) + ", and a run gives up to " +
                           std::to_string(most_rows_));
  }
  if (wanted > most_length_) {
    return Status::failure("the text would have " + std::to_string(wanted) +
                           " tokens, and there is room for " + std::to_string(most_length_) +
                           "; open the program with more capacity, or shorten the text");
  }
  pending_.insert(pending_.end(), ids.begin(), ids.begin() + ids.size());
  return compute(rows);
}

// Runs the pending tokens. The first run takes those that do not fill a block, so that the last
// has as many as it can.
Status Generator::compute(std::size_t rows) {
  const std::vector<std::int32_t> ids = std::move(pending_);
  pending_.clear();
  std::size_t done = 0;
  while (done < ids.size()) {
    const std::size_t rest = (ids.size() - done) % block_;
    const std::size_t count = rest == 0 ? block_ : rest;
    const bool last = done + count == ids.size();
    const Status status = run_block(ids.data() + done, count, last ? rows : 1);
    if (!status.ok()) {
      reset();
      return status;
    }
    done += count;
  }
  return Status::success();
}

Status Generator::run_block(const std::int32_t* ids, std::size_t count, std::size_t rows) {
  ids_.assign(ids, ids + count);
  positions_.resize(count);
  places_.resize(count);
  rows_.resize(rows);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t place = (length_ + i) % capacity_;
    positions_[i] = static_cast<std::int32_t>(length_ + i);
    places_[i] = static_cast<std::int32_t>(place);
    key_positions_[place] = positions_[i];
  }
  for (std::size_t i = 0; i < rows; ++i) rows_[i] = static_cast<std::int32_t>(count - rows + i);
  inputs_.clear();
  for (const Port& port : session_->program().inputs) {
    inputs_.push_back(vector_of(port.name == "ids"             ? ids_
                                : port.name == "positions"     ? positions_
                                : port.name == "places"        ? places_
                                : port.name == "key_positions" ? key_positions_
                                                               : rows_));
  }
  length_ += count;
  return session_->run(inputs_);
}

Status Generator::next(const Sampling& sampling, std::int32_t* id) {
  if (length() == 0) return Status::failure("the text is empty; append a token first");
  if (length() > most_length_) {
    return Status::failure("the text has " + std::to_string(length()) +
                           " tokens, and there is room for " + std::to_string(most_length_) +
                           "; open the program with more capacity");
  }
  const bool computed = pending_.empty();
  const Status status = computed ? Status::success() : compute(1);
  if (!status.ok()) return status;
  Sampling step = sampling;
  step.step = length_;
  const std::size_t row = computed ? session_->output(0).sizes[0] - 1 : 0;
  *id = sample_->sample({vocabulary_, logits(row), step}, {powers_.data(), keys_.data()});
  if (*id < 0) return Status::failure("a logit is NaN or infinite, so no token can be chosen");
  pending_.push_back(*id);
  return Status::success();
}

Status Generator::generate(Span<std::int32_t> prompt, const GenerateOptions& options,
                           TokenSink* sink, Ending* ending) {
  if (prompt.size() != 0) {
    const Status status = append(prompt);
    if (!status.ok()) return status;
  }
  for (std::size_t given = 0; given < options.most; ++given) {
    if (length() > most_length_) {
      *ending = Ending::kFull;
      return Status::success();
    }
    std::int32_t id = 0;
    const Status status = next(options.sampling, &id);
    if (!status.ok()) return status;
    if (std::find(options.stops.begin(), options.stops.end(), id) != options.stops.end()) {
      pending_.clear();
      *ending = Ending::kStop;
      return Status::success();
    }
    if (!sink->token(id)) {
      *ending = Ending::kCaller;
      return Status::success();
    }
  }
  *ending = Ending::kMost;
  return Status::success();
}

}  // namespace lamella
