#include "engine/file/json_parser.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "engine/file/sentence.h"

namespace lamella::file {
namespace {

bool is_digit(char letter) { return '0' <= letter && letter <= '9'; }

// Whether a decimal number that no double can hold is too small, not too large.
bool vanishes(std::string_view digits) {
  const std::size_t power = std::min(digits.find_first_of("eE"), digits.size());
  const std::string_view mantissa = digits.substr(0, power);
  const auto point = static_cast<std::int64_t>(std::min(mantissa.find('.'), mantissa.size()));
  const std::size_t digit = mantissa.find_first_of("123456789");
  if (digit == mantissa.npos) return true;
  std::int64_t exponent = 0;
  if (power < digits.size()) {
    const std::string_view written = digits.substr(power + (digits[power + 1] == '+' ? 2 : 1));
    const auto read = std::from_chars(written.data(), written.data() + written.size(), exponent);
    if (read.ec != std::errc()) return written[0] == '-';
  }
  return exponent < static_cast<std::int64_t>(digit) - point;
}

}  // namespace

bool JsonParser::parse() {
  document_->nodes_.clear();
  document_->letters_.clear();
  // Unescaped letters are never more than the escaped ones.
  document_->letters_.reserve(text_.size());
  skip_spaces();
  if (!value({0, 0}, 1)) return false;
  skip_spaces();
  return place_ == text_.size() || expected("the end");
}

bool JsonParser::value(Text key, int depth) {
  const std::size_t index = document_->nodes_.size();
  Node node = {};
  node.key = key;
  document_->nodes_.push_back(node);
  bool read = false;
  if (at('{') || at('[')) {
    if (depth > kMostJsonDepth) {
      return fail("JSON nested deeper than " + std::to_string(kMostJsonDepth) + " levels");
    }
    const bool keyed = take('{');
    if (!keyed) ++place_;
    node.kind = keyed ? JsonKind::kObject : JsonKind::kList;
    document_->nodes_[index] = node;
    read = members(index, depth, keyed, keyed ? '}' : ']') && (!keyed || unique(index));
  } else {
    if (at('"')) {
      node.kind = JsonKind::kText;
      read = string(&node.text);
    } else {
      const bool digits = place_ < text_.size() && (is_digit(text_[place_]) || at('-'));
      read = digits ? number(&node) : word(&node);
    }
    document_->nodes_[index] = node;
  }
  document_->nodes_[index].end = static_cast<std::uint32_t>(document_->nodes_.size());
  return read;
}

bool JsonParser::members(std::size_t index, int depth, bool keyed, char close) {
  skip_spaces();
  if (take(close)) return true;
  std::uint32_t children = 0;
  do {
    skip_spaces();
    if (!member(depth, keyed)) return false;
    ++children;
    skip_spaces();
  } while (take(','));
  document_->nodes_[index].children = children;
  return take(close) || expected(keyed ? "',' or '}'" : "',' or ']'");
}

bool JsonParser::member(int depth, bool keyed) {
  Text key = {0, 0};
  if (keyed) {
    if (!at('"')) return expected("a key in quotes");
    if (!string(&key)) return false;
    skip_spaces();
    if (!take(':')) return expected("':'");
    skip_spaces();
  }
  return value(key, depth + 1);
}

bool JsonParser::unique(std::size_t index) {
  std::vector<std::string_view> keys;
  std::size_t child = index + 1;
  for (std::uint32_t i = 0; i < document_->nodes_[index].children; ++i) {
    keys.push_back(document_->view(document_->nodes_[child].key));
    child = document_->nodes_[child].end;
  }
  std::sort(keys.begin(), keys.end());
  const auto twice = std::adjacent_find(keys.begin(), keys.end());
  return twice == keys.end() || fail("not valid JSON: the key " + quoted(*twice) + " comes twice");
}

bool JsonParser::string(Text* letters) {
  ++place_;
  const std::size_t begin = document_->letters_.size();
  while (!at('"')) {
    if (place_ == text_.size()) return expected("the end of a text");
    const char letter = text_[place_];
    if (static_cast<unsigned char>(letter) < 0x20) return expected("no control letter");
    ++place_;
    if (letter != '\\') {
      document_->letters_ += letter;
    } else if (!escape()) {
      return false;
    }
  }
  ++place_;
  letters->begin = static_cast<std::uint32_t>(begin);
  letters->size = static_cast<std::uint32_t>(document_->letters_.size() - begin);
  return true;
}

bool JsonParser::escape() {
  constexpr std::string_view kNames = "\"\\/bfnrt";
  constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
  if (take('u')) {
    unsigned code = 0;
    if (!hex(&code)) return false;
    if (0xd800 <= code && code <= 0xdfff) return surrogates(code);
    append(code);
    return true;
  }
  const std::size_t which = place_ < text_.size() ? kNames.find(text_[place_]) : kNames.npos;
  if (which == kNames.npos) return expected("an escape");
  document_->letters_ += kMeant[which];
  ++place_;
  return true;
}

bool JsonParser::surrogates(unsigned first) {
  unsigned second = 0;
  if (first >= 0xdc00 || !take('\\') || !take('u'))
    return fail("a text holds half a surrogate pair");
  if (!hex(&second)) return false;
  if (second < 0xdc00 || second > 0xdfff) return fail("a text holds half a surrogate pair");
  append(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
  return true;
}

bool JsonParser::hex(unsigned* code) {
  const std::string_view digits = text_.substr(place_, 4);
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), *code, 16);
  const bool whole = digits.size() == 4 && read.ptr == digits.data() + 4;
  if (!whole || read.ec != std::errc()) return expected("four hexadecimal digits");
  place_ += 4;
  return true;
}

void JsonParser::append(unsigned code) {
  std::string& out = document_->letters_;
  const auto tail = [&out, code](int shift) {
    out += static_cast<char>(0x80 | ((code >> shift) & 0x3f));
  };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | code >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

bool JsonParser::number(Node* node) {
  const std::size_t begin = place_;
  const auto digits = [this] {
    const std::size_t first = place_;
    skip_digits();
    return place_ != first;
  };
  const bool negative = take('-');
  if (negative && text_.substr(place_, 8) == "Infinity") {
    return fail("not valid JSON: -Infinity is not a JSON number");
  }
  if (!take('0') && !digits()) return expected("a digit");
  bool whole = true;
  if (take('.')) {
    whole = false;
    if (!digits()) return expected("a digit");
  }
  if (take('e') || take('E')) {
    whole = false;
    if (!take('+')) take('-');
    if (!digits()) return expected("a digit");
  }
  const std::string_view written = text_.substr(begin, place_ - begin);
  if (!whole) return real(written, node);
  node->kind = JsonKind::kInteger;
  const auto read = std::from_chars(written.data(), written.data() + written.size(), node->integer);
  return read.ec == std::errc() ||
         fail("not valid JSON: the integer " + quoted(written) + " does not fit 64 bits");
}

bool JsonParser::real(std::string_view digits, Node* node) {
  node->kind = JsonKind::kReal;
  node->real = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), node->real);
  if (read.ec == std::errc() && std::isfinite(node->real)) return true;
  if (!vanishes(digits)) {
    return fail("not valid JSON: " + quoted(digits) + " is beyond double precision");
  }
  node->real = digits[0] == '-' ? -0.0 : 0.0;
  return true;
}

bool JsonParser::word(Node* node) {
  struct Word {
    std::string_view letters;
    JsonKind kind;
  };
  constexpr Word kWords[] = {
      {"null", JsonKind::kNull},  {"true", JsonKind::kBool},       {"false", JsonKind::kBool},
      {"NaN", JsonKind::kAbsent}, {"Infinity", JsonKind::kAbsent},
  };
  for (const Word& row : kWords) {
    if (text_.substr(place_, row.letters.size()) != row.letters) continue;
    if (row.kind == JsonKind::kAbsent) {
      return fail("not valid JSON: " + std::string(row.letters) + " is not a JSON number");
    }
    place_ += row.letters.size();
    node->kind = row.kind;
    node->truth = row.letters == "true";
    return true;
  }
  return expected("a value");
}

void JsonParser::skip_spaces() {
  constexpr std::string_view kSpaces = " \t\n\r";
  while (place_ < text_.size() && kSpaces.find(text_[place_]) != kSpaces.npos) ++place_;
}

void JsonParser::skip_digits() {
  while (place_ < text_.size() && is_digit(text_[place_])) ++place_;
}

bool JsonParser::take(char letter) {
  const bool there = at(letter);
  if (there) ++place_;
  return there;
}

bool JsonParser::fail(std::string flaw) {
  flaw_ = std::move(flaw);
  return false;
}

bool JsonParser::expected(const char* what) {
  return fail("not valid JSON: byte " + std::to_string(place_) + " should be " + what);
}

Status JsonDocument::parse(Span<std::uint8_t> bytes, JsonDocument* document) {
  const std::string_view text = as_text(bytes);
  if (text.size() > kMostJsonBytes) {
    return Status::failure(std::to_string(text.size()) + " bytes of JSON; the limit is " +
                           std::to_string(kMostJsonBytes));
  }
  const std::size_t end = utf8_end(text);
  if (end != text.size()) {
    return Status::failure("byte " + std::to_string(end) + " is not UTF-8");
  }
  JsonParser parser(text, document);
  if (parser.parse()) return Status::success();
  return Status::failure(parser.flaw());
}

}  // namespace lamella::file
