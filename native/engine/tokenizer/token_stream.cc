#include "engine/tokenizer/token_stream.h"

#include <vector>

namespace lamella {
namespace {

// The value of a place of "<0xE2>"; the library reads a plus sign as nothing.
unsigned digit(char c) {
  if (c == '+') return 0;
  return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

}  // namespace

Status TextRules::open(const TokenizerSections& sections) {
  std::vector<TextStep> steps;
  const Status status = read_steps(sections, TokenizerSection::kDecoder, &steps);
  for (const TextStep& step : steps) {
    if (step.kind == TextStepKind::kReplace) replace = step;
    if (step.kind == TextStepKind::kStripStart) strip = step;
    if (step.kind == TextStepKind::kByteTokens) byte_tokens = true;
  }
  return status;
}

TokenStream::TokenStream(const Vocabulary& vocabulary, const TextRules& rules, bool skip_special)
    : vocabulary_(vocabulary),
      rules_(rules),
      skip_special_(skip_special),
      to_strip_(rules.strip.number) {}

void TokenStream::push(std::int32_t id, std::string* text) {
  const auto token = static_cast<std::uint32_t>(id);
  if (!vocabulary_.is_token(token)) return;
  if (skip_special_ && vocabulary_.is_special(token)) return;
  const std::string_view part = vocabulary_.text(token);
  if (rules_.byte_tokens && vocabulary_.is_byte(token)) {
    run_.push_back(static_cast<char>(digit(part[3]) << 4 | digit(part[4])));
    return;
  }
  end_run(text);
  if (rules_.replace.first.empty()) {
    give(part, text);
    return;
  }
  std::string replaced;
  replace_all(rules_.replace, part, &replaced);
  give(replaced, text);
}

void TokenStream::finish(std::string* text) {
  end_run(text);
  repair_.finish(text);
  to_strip_ = rules_.strip.number;
}

void TokenStream::end_run(std::string* text) {
  if (run_.empty()) return;
  std::string valid;
  if (!repair_utf8(run_, &valid)) {
    valid.clear();
    for (std::size_t i = 0; i < run_.size(); ++i) append_character(0xFFFD, &valid);
  }
  run_.clear();
  give(valid, text);
}

void TokenStream::give(std::string_view part, std::string* text) {
  while (to_strip_ > 0 && !part.empty()) {
    const std::string_view mark = rules_.strip.first;
    if (part.substr(0, mark.size()) != mark) {
      to_strip_ = 0;
      break;
    }
    part.remove_prefix(mark.size());
    --to_strip_;
  }
  repair_.push(part, text);
}

}  // namespace lamella
