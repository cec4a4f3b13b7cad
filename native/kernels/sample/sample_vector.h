// A fragment: argmax and the powers of sample, 16 at a time. Included after
// kernels/math/value_<isa>.h.
#include "kernels/math/functions.h"

inline void powers(std::size_t count, const float* logits, float top, float temperature,
                   float* to) {
  const Value shift = fill(top);
  const Value divisor = fill(temperature);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store(to + i, exp(div(sub(load(logits + i), shift), divisor)));
  }
  if (i == count) return;
  const Value last = load_first(logits + i, count - i);
  store_first(to + i, exp(div(sub(last, shift), divisor)), count - i);
}

// Of each lane the first greatest logit; places are exact, as they lie below 2^24.
inline std::int32_t argmax(std::size_t count, const float* logits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float first[kLanes], wrongs[kLanes], tops[kLanes], places[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) first[lane] = static_cast<float>(lane);
  Value here = load(first), place = fill(0.0f), top = fill(-kInfinity), wrong = fill(0.0f);
  for (std::size_t i = 0; i < count; i += kLanes) {
    const Value x = i + kLanes <= count
                        ? load(logits + i)
                        : first_of(load_first(logits + i, count - i), count - i, fill(-kInfinity));
    // Neither NaN nor infinity is less.
    wrong = choose(less(x, fill(kInfinity)), wrong, fill(1.0f));
    place = choose(less(top, x), here, place);
    top = choose(less(top, x), x, top);
    here = add(here, fill(static_cast<float>(kLanes)));
  }
  spill(wrongs, wrong);
  spill(tops, top);
  spill(places, place);
  float greatest = -kInfinity, best = -1;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    if (wrongs[lane] != 0) return -1;
    const bool before = tops[lane] == greatest && places[lane] < best;
    if (!before && !(tops[lane] > greatest)) continue;
    greatest = tops[lane];
    best = places[lane];
  }
  return static_cast<std::int32_t>(best);
}

inline std::int32_t sample(const SampleCall& call, SampleScratch scratch) {
  return draw(call, scratch, &argmax, &powers);
}
