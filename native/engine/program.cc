#include "engine/program.h"

#include <cstring>

namespace lamella {
namespace {

constexpr std::size_t kMostSymbols = 16;
constexpr std::size_t kMostItems = std::size_t{1} << 20;

// Reads fields from the front; after the first that does not fit, all are zero and `failed` is set.
class Fields {
 public:
  explicit Fields(Span<std::uint8_t> bytes) : at_(bytes.begin()), end_(bytes.end()) {}

  template <typename Number>
  Number number() {
    Number value{};
    if (static_cast<std::size_t>(end_ - at_) < sizeof(Number)) {
      failed_ = true;
      at_ = end_;
      return value;
    }
    std::memcpy(&value, at_, sizeof(Number));
    at_ += sizeof(Number);
    return value;
  }

  std::string text() {
    const auto size = number<std::uint16_t>();
    if (static_cast<std::size_t>(end_ - at_) < size) {
      failed_ = true;
      return {};
    }
    at_ += size;
    return std::string(reinterpret_cast<const char*>(at_ - size), size);
  }

  // Fills a list of at most `most` items, each by read(); an item takes at least a byte.
  template <typename Count, typename Item, typename Read>
  void list(std::vector<Item>* items, std::size_t most, const Read& read) {
    const std::size_t count = number<Count>();
    if (count > most || count > static_cast<std::size_t>(end_ - at_)) {
      failed_ = true;
      return;
    }
    items->reserve(count);
    for (std::size_t i = 0; i < count && !failed_; ++i) items->push_back(read());
  }

  void fail() { failed_ = true; }
  bool failed() const { return failed_; }
  bool at_end() const { return at_ == end_; }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  bool failed_ = false;
};

Symbol read_symbol(Fields& from) {
  Symbol symbol{from.text(), static_cast<Origin>(from.number<std::uint8_t>()),
                from.number<std::uint32_t>(), from.number<std::uint32_t>()};
  const bool ordered = symbol.least <= symbol.most && symbol.most <= INT32_MAX;
  if (symbol.origin > Origin::kOpening || !ordered) from.fail();
  return symbol;
}

Axis read_axis(Fields& from, std::size_t symbols) {
  const Axis axis{from.number<std::int64_t>(), from.number<std::int64_t>(),
                  from.number<std::uint32_t>()};
  // Sizes never fall where a symbol grows, so that what fits for the largest fits for all.
  const bool constant = axis.mask == 0 && axis.mul == 0;
  if (axis.mask >> symbols != 0 || (axis.mul <= 0 && !constant)) from.fail();
  return axis;
}

Value read_value(Fields& from, std::size_t symbols) {
  Value value{};
  const auto dtype = from.number<std::uint8_t>(), place = from.number<std::uint8_t>();
  value.offset = from.number<std::uint64_t>();
  value.rank = from.number<std::uint8_t>();
  if (dtype >= kDTypes || place > 3 || value.rank > kMostAxes) {
    from.fail();
    return value;
  }
  value.dtype = static_cast<DType>(dtype);
  value.place = static_cast<Place>(place);
  if (value.place <= Place::kWeights && value.offset % 64 != 0) from.fail();
  for (std::size_t i = 0; i < value.rank; ++i) value.axes[i] = read_axis(from, symbols);
  return value;
}

CallRow read_call(Fields& from) {
  CallRow call{};
  call.operation = from.number<std::uint16_t>();
  call.label = from.number<std::uint32_t>();
  from.list<std::uint8_t>(&call.operands, 255, [&] { return from.number<std::uint32_t>(); });
  from.list<std::uint8_t>(&call.integers, 255, [&] { return from.number<std::int64_t>(); });
  from.list<std::uint8_t>(&call.numbers, 255, [&] { return from.number<float>(); });
  call.written = from.number<std::uint8_t>();
  return call;
}

// A constant is read only, an input the caller's, and a result is somewhere.
bool is_within(const CallRow& call, const Program& program) {
  if (call.operation >= program.operations.size() || call.label >= program.labels.size() ||
      call.written == 0 || call.written > call.operands.size()) {
    return false;
  }
  for (std::size_t i = 0; i < call.operands.size(); ++i) {
    const std::uint32_t operand = call.operands[i];
    if (operand == kNone) continue;
    if (operand >= program.values.size()) return false;
    const Place place = program.values[operand].place;
    const bool fixed = place == Place::kWeights || place == Place::kInput;
    if (i + call.written >= call.operands.size() && fixed) return false;
  }
  return true;
}

// The sentence for the first port or call that names what does not exist, or an empty one.
std::string fault_of(const Program& program) {
  std::vector<bool> states(program.values.size());
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    const Port& port = program.inputs[i];
    if (port.value >= program.values.size() || program.values[port.value].place != Place::kInput ||
        program.values[port.value].offset != i) {
      return "input " + port.name + " is no value of the place `input`";
    }
  }
  for (const Port& port : program.outputs) {
    if (port.value >= program.values.size()) return "output " + port.name + " is no value";
  }
  for (std::size_t i = 0; i < program.values.size(); ++i) {
    const Value& value = program.values[i];
    if (value.place == Place::kInput && value.offset >= program.inputs.size()) {
      return "value " + std::to_string(i) + " is an input that does not exist";
    }
    if (value.place != Place::kState) continue;
    if (value.offset >= states.size() || states[value.offset]) {
      return "value " + std::to_string(i) + " is a state that another value is";
    }
    states[value.offset] = true;
  }
  for (std::size_t i = 0; i < program.calls.size(); ++i) {
    if (!is_within(program.calls[i], program)) {
      return "call " + std::to_string(i) + " names what the program does not have";
    }
  }
  return {};
}

}  // namespace

Status read_program(Span<std::uint8_t> bytes, Program* program) {
  Fields from(bytes);
  if (from.number<std::uint32_t>() != 0x31504d4cu) {
    return Status::failure("this is no program of version 1: it does not begin with LMP1");
  }
  from.list<std::uint32_t>(&program->symbols, kMostSymbols, [&] { return read_symbol(from); });
  from.list<std::uint32_t>(&program->operations, 65535, [&] {
    return OperationName{from.text(), from.number<std::uint16_t>()};
  });
  from.list<std::uint32_t>(&program->labels, kMostItems, [&] { return from.text(); });
  from.list<std::uint32_t>(&program->values, kMostItems,
                           [&] { return read_value(from, program->symbols.size()); });
  const auto port = [&] { return Port{from.text(), from.number<std::uint32_t>()}; };
  from.list<std::uint32_t>(&program->inputs, kMostItems, port);
  from.list<std::uint32_t>(&program->outputs, kMostItems, port);
  from.list<std::uint32_t>(&program->calls, kMostItems, [&] { return read_call(from); });
  program->arena = from.number<std::uint64_t>();
  program->weights = from.number<std::uint64_t>();
  if (from.failed() || !from.at_end()) {
    return Status::failure("the program is damaged: a field is missing, too many, or out of range");
  }
  std::string fault = fault_of(*program);
  return fault.empty() ? Status::success() : Status::failure("the program is damaged: " + fault);
}

std::int64_t size_of(const Axis& axis, const std::vector<std::uint32_t>& symbols) {
  std::int64_t size = axis.mul;
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    const bool used = (axis.mask >> i & 1) != 0;
    if (used && __builtin_mul_overflow(size, std::int64_t{symbols[i]}, &size)) return -1;
  }
  if (__builtin_add_overflow(size, axis.add, &size) || size < 0 || size > INT32_MAX) return -1;
  return size;
}

}  // namespace lamella
