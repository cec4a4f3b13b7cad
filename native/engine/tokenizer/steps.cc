#include "engine/tokenizer/steps.h"

#include <string>

#include "engine/tokenizer/utf8.h"

namespace lamella {
namespace {

constexpr std::size_t kMostSteps = 16;
constexpr std::size_t kHead = 16;
constexpr std::uint32_t kMostNumber = 1 << 20;

// What a step of a section must be like.
struct Rule {
  TokenizerSection section;
  TextStepKind kind;
  std::uint32_t most_number;
  bool has_first;
  bool has_second;
};

constexpr Rule kRules[] = {
    {TokenizerSection::kNormalizer, TextStepKind::kPrepend, 0, true, false},
    {TokenizerSection::kNormalizer, TextStepKind::kReplace, 0, true, true},
    {TokenizerSection::kNormalizer, TextStepKind::kCompose, 0, false, false},
    {TokenizerSection::kPreTokenizer, TextStepKind::kReplace, 0, true, true},
    {TokenizerSection::kPreTokenizer, TextStepKind::kDigits, 1, false, false},
    {TokenizerSection::kPreTokenizer, TextStepKind::kWordsGpt2, 0, false, false},
    {TokenizerSection::kPreTokenizer, TextStepKind::kWordsLlama3, kMostNumber, false, false},
    {TokenizerSection::kPreTokenizer, TextStepKind::kNumbers, kMostNumber, false, false},
    {TokenizerSection::kPreTokenizer, TextStepKind::kWordsO200k, kMostNumber, false, false},
    {TokenizerSection::kPreTokenizer, TextStepKind::kWordsTekken, kMostNumber, false, false},
    {TokenizerSection::kPreTokenizer, TextStepKind::kLiteral, 4, true, false},
    {TokenizerSection::kPreTokenizer, TextStepKind::kPrefix, 1, true, false},
    {TokenizerSection::kDecoder, TextStepKind::kReplace, 0, true, true},
    {TokenizerSection::kDecoder, TextStepKind::kByteTokens, 0, false, false},
    {TokenizerSection::kDecoder, TextStepKind::kStripStart, kMostNumber, true, false},
};

bool is_allowed(TokenizerSection section, const TextStep& step) {
  for (const Rule& rule : kRules) {
    if (rule.section != section || rule.kind != step.kind) continue;
    std::string unused;
    return step.number <= rule.most_number && rule.has_first == !step.first.empty() &&
           (rule.has_second || step.second.empty()) && repair_utf8(step.first, &unused) &&
           repair_utf8(step.second, &unused);
  }
  return false;
}

// Whether the steps of a decoder come in the one order that it has, and shorten texts.
bool is_decoder(const std::vector<TextStep>& steps) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (i > 0 && steps[i].kind <= steps[i - 1].kind) return false;
    if (steps[i].second.size() > steps[i].first.size()) return false;
    const bool strips = steps[i].kind == TextStepKind::kStripStart;
    if (strips && character_at(steps[i].first, 0).bytes != steps[i].first.size()) return false;
  }
  return true;
}

}  // namespace

Status read_steps(const TokenizerSections& sections, TokenizerSection section,
                  std::vector<TextStep>* steps) {
  std::string_view rest = sections.bytes(section);
  const auto damaged = [section, steps] {
    return bad_tokenizer("step " + std::to_string(steps->size()) + " of section " +
                         std::to_string(static_cast<std::size_t>(section)));
  };
  while (!rest.empty()) {
    if (rest.size() < kHead || steps->size() == kMostSteps) return damaged();
    const Words head(rest.substr(0, kHead));
    const std::size_t first = head[2], second = head[3];
    const std::size_t size = (kHead + first + second + 3) / 4 * 4;
    if (size > rest.size()) return damaged();
    const TextStep step{static_cast<TextStepKind>(head[0]), head[1], rest.substr(kHead, first),
                        rest.substr(kHead + first, second)};
    if (!is_allowed(section, step)) return damaged();
    steps->push_back(step);
    rest.remove_prefix(size);
  }
  if (section == TokenizerSection::kDecoder && !is_decoder(*steps)) return damaged();
  return Status::success();
}

void replace_all(const TextStep& step, std::string_view from, std::string* to) {
  std::size_t at = 0;
  while (true) {
    const std::size_t found = from.find(step.first, at);
    to->append(from.substr(at, found - at));
    if (found == std::string_view::npos) return;
    to->append(step.second);
    at = found + step.first.size();
  }
}

}  // namespace lamella
