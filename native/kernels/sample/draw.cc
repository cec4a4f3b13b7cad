#include "kernels/sample/draw.h"

#include <algorithm>
#include <limits>

#include "base/half.h"

namespace lamella {
namespace {

// At most 2^40, so that the sum of kMostTokens of them fits 64 bits. The product is exact.
std::uint64_t weight_of(float power) { return static_cast<std::uint64_t>(power * 0x1p40f); }

// Greater for a token that is earlier in the order of likelihood; never 0.
std::uint64_t key_of(float logit, std::size_t id) {
  // Adding 0 makes -0 and 0 equal. Patterns of negative floats are ordered the other way round.
  const std::uint32_t bits = float_bits(logit + 0.0f);
  const std::uint32_t ordered = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return std::uint64_t{ordered} << 32 | (0xffffffffu - static_cast<std::uint32_t>(id));
}

// The tokens in the order of likelihood, as far as it is asked for: a heap of the keys that were
// not, then the others, the first at the end.
class Order {
 public:
  Order(const SampleCall& call, std::uint64_t* keys)
      : keys_(keys), left_(keys + call.count), end_(left_) {
    for (std::size_t id = 0; id < call.count; ++id) keys[id] = key_of(call.logits[id], id);
    std::make_heap(keys_, end_);
  }

  std::uint64_t key(std::size_t place) {
    for (; static_cast<std::size_t>(end_ - left_) <= place; --left_) std::pop_heap(keys_, left_);
    return *(end_ - 1 - place);
  }

  std::size_t token(std::size_t place) {
    return 0xffffffffu - static_cast<std::uint32_t>(key(place));
  }

 private:
  std::uint64_t* keys_;
  std::uint64_t* left_;
  std::uint64_t* end_;
};

// The tokens whose keys are at least `last`, and the sum of their weights.
struct Kept {
  std::uint64_t last;
  std::uint64_t sum;
};

Kept keep(const SampleCall& call, SampleScratch scratch) {
  const Sampling& sampling = call.sampling;
  const bool cuts = sampling.top_k != 0 && sampling.top_k < call.count;
  const std::size_t most = cuts ? static_cast<std::size_t>(sampling.top_k) : call.count;
  std::uint64_t total = 0;
  if (!cuts) {
    for (std::size_t i = 0; i < call.count; ++i) total += weight_of(scratch.powers[i]);
    if (sampling.top_p >= 1) return {0, total};
  }
  Order order(call, scratch.keys);
  for (std::size_t i = 0; cuts && i < most; ++i) total += weight_of(scratch.powers[order.token(i)]);
  const std::uint64_t limit =
      sampling.top_p >= 1 ? std::numeric_limits<std::uint64_t>::max()
                          : static_cast<std::uint64_t>(sampling.top_p * static_cast<double>(total));
  Kept kept{order.key(0), weight_of(scratch.powers[order.token(0)])};
  for (std::size_t i = 1; i < most && kept.sum < limit; ++i) {
    kept.last = order.key(i);
    kept.sum += weight_of(scratch.powers[order.token(i)]);
  }
  return kept;
}

std::uint64_t random_of(const Sampling& sampling) {
  std::uint64_t z = sampling.seed + (sampling.step + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

// floor(a * b / 2^64)
std::uint64_t high_product(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kLow = 0xffffffffu;
  const std::uint64_t middle = (a >> 32) * (b & kLow) + ((a & kLow) * (b & kLow) >> 32);
  const std::uint64_t other = (a & kLow) * (b >> 32) + (middle & kLow);
  return (a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32);
}

}  // namespace

std::int32_t draw(const SampleCall& call, SampleScratch scratch, ArgmaxFn argmax, PowersFn powers) {
  const std::int32_t likeliest = argmax(call.count, call.logits);
  if (likeliest < 0 || call.sampling.temperature == 0) return likeliest;
  powers(call.count, call.logits, call.logits[likeliest], call.sampling.temperature,
         scratch.powers);
  const Kept kept = keep(call, scratch);
  const std::uint64_t target = high_product(random_of(call.sampling), kept.sum);
  std::uint64_t sum = 0;
  std::size_t id = 0;
  for (;; ++id) {
    if (key_of(call.logits[id], id) >= kept.last) sum += weight_of(scratch.powers[id]);
    if (sum > target) return static_cast<std::int32_t>(id);
  }
}

}  // namespace lamella
