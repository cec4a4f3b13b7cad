#include "engine/tokenizer/normalizer.h"

#include <utility>

#include "engine/tokenizer/pre_tokenizer.h"

namespace lamella {

Status Normalizer::open(const TokenizerSections& sections) {
  const Status status = read_steps(sections, TokenizerSection::kNormalizer, &steps_);
  return status.ok() ? composer_.open(sections) : status;
}

Status Normalizer::run(std::string* text) const {
  if (text->empty()) return Status::success();
  for (const TextStep& step : steps_) {
    std::string changed;
    if (step.kind == TextStepKind::kCompose) {
      changed = composer_.composed(*text);
    } else if (step.kind == TextStepKind::kReplace) {
      replace_all(step, *text, &changed);
    } else if (!text->empty()) {
      changed.append(step.first).append(*text);
    }
    *text = std::move(changed);
    const Status status = check_text_size(text->size());
    if (!status.ok()) return status;
  }
  return Status::success();
}

}  // namespace lamella
