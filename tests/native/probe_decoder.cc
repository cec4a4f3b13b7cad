// Runs the selected kernels of attention, kv_store, embed and sample on cases (probe_io.h).
//
// A case is the number of its operation and eight more 32-bit numbers, which `answer_...` names,
// then the arrays.
#include "kernels/attention/attention.h"
#include "kernels/embed/embed.h"
#include "kernels/kv_store/kv_store.h"
#include "kernels/sample/sample.h"
#include "probe_io.h"

namespace {

using namespace lamella::probe;
using Head = std::vector<std::uint32_t>;

struct CacheArrays {
  lamella::CacheFormat format;
  std::size_t kv_heads;
  std::size_t head_dim;
  std::vector<std::uint8_t> codes;
  std::vector<float> scale;

  CacheArrays(std::uint32_t number, std::size_t positions, std::size_t heads, std::size_t dim)
      : format(static_cast<lamella::CacheFormat>(number)),
        kv_heads(heads),
        head_dim(dim),
        codes(positions * heads * lamella::cache_row_bytes(format, dim)),
        scale(lamella::has_scale(format) ? positions * heads : 0) {}

  void fill(std::istream& in) {
    codes = read<std::uint8_t>(in, codes.size());
    scale = read<float>(in, scale.size());
  }

  lamella::Cache view() {
    return {format, kv_heads, head_dim, codes.data(), scale.empty() ? nullptr : scale.data()};
  }
};

// tokens, heads, positions, kv_heads, head_dim, two formats, window + 1 or 0 without positions
void answer_attention(const Head& head, lamella::IsaSet allowed, std::istream& in) {
  const std::size_t tokens = head[0], heads = head[1], positions = head[2];
  const auto query = read<float>(in, tokens * heads * head[4]);
  CacheArrays keys(head[5], positions, head[3], head[4]);
  CacheArrays values(head[6], positions, head[3], head[4]);
  keys.fill(in);
  values.fill(in);
  const bool causal = head[7] != 0;
  const auto query_position = read<std::int32_t>(in, causal ? tokens : 0);
  const auto key_position = read<std::int32_t>(in, causal ? positions : 0);
  const auto kept = read<std::uint8_t>(in, causal ? 0 : positions);
  const lamella::AttentionMask mask{
      causal ? query_position.data() : nullptr, causal ? key_position.data() : nullptr,
      causal ? static_cast<std::int32_t>(head[7] - 1) : 0, causal ? nullptr : kept.data()};
  std::vector<float> y(query.size());
  const lamella::AttentionCall call{tokens,        heads, positions, query.data(), keys.view(),
                                    values.view(), mask,  0.3f,      y.data()};
  std::vector<std::int32_t> seen(positions);
  std::vector<float> floats(call.scratch_floats());
  const auto& kernel = said(lamella::attention_select(allowed));
  // Two calls, so that a slice begins in the middle.
  const std::size_t middle = call.units() / 2;
  kernel.run(call, {seen.data(), floats.data()}, {middle, call.units()});
  kernel.run(call, {seen.data(), floats.data()}, {0, middle});
  write(y);
}

// tokens, kv_heads, head_dim, format
void answer_kv_store(const Head& head, lamella::IsaSet allowed, std::istream& in) {
  const std::size_t tokens = head[0];
  const auto x = read<float>(in, tokens * head[1] * head[2]);
  const auto place = read<std::int32_t>(in, tokens);
  CacheArrays cache(head[3], tokens, head[1], head[2]);
  const auto& kernel = said(lamella::kv_store_select(allowed));
  kernel.run({x.data(), place.data(), cache.view()}, {0, tokens});
  write(cache.codes);
  write(cache.scale);
}

// rows, cols, bits (32 and 16 for plain tables), group, groups, tokens, whether zero points follow
void answer_embed(const Head& head, lamella::IsaSet allowed, std::istream& in) {
  const std::size_t rows = head[0], cols = head[1], tokens = head[5];
  const int bits = static_cast<int>(head[2]);
  const bool packed = bits <= 8, groups = packed && head[3] != 0;
  const std::size_t strips = lamella::strips_of(rows);
  const std::size_t grids = packed ? strips * head[4] * lamella::kStripRows : 0;
  const std::size_t tiles = strips * lamella::blocks_of(cols) * lamella::tile_bytes(bits);
  const auto codes = read<std::uint8_t>(in, packed ? tiles : 0);
  const auto half = read<std::uint16_t>(in, groups ? grids : bits == 16 ? rows * cols : 0);
  const auto single = read<float>(in, packed && !groups ? grids : bits == 32 ? rows * cols : 0);
  const auto zero = read<std::uint8_t>(in, head[6] == 0 ? 0 : grids);
  const auto id = read<std::int32_t>(in, tokens);
  const lamella::LinearWeight weight{rows,
                                     cols,
                                     bits,
                                     head[4],
                                     lamella::grid_shift_of(head[3]),
                                     codes.data(),
                                     groups ? half.data() : nullptr,
                                     groups ? nullptr : single.data(),
                                     head[6] == 0 ? nullptr : zero.data()};
  std::vector<float> y(tokens * cols);
  const auto& kernel = said(lamella::embed_select(allowed));
  const lamella::EmbedTable table{cols, packed ? &weight : nullptr,
                                  bits == 16 ? half.data() : nullptr,
                                  bits == 32 ? single.data() : nullptr};
  kernel.run({table, id.data(), y.data()}, {0, tokens});
  write(y);
}

// count, top_k, seed, step
void answer_sample(const Head& head, lamella::IsaSet allowed, std::istream& in) {
  const auto cuts = read<float>(in, 2);
  const auto logits = read<float>(in, head[0]);
  std::vector<float> powers(head[0]);
  std::vector<std::uint64_t> keys(head[0]);
  const auto& kernel = said(lamella::sample_select(allowed));
  const lamella::Sampling sampling{cuts[0], head[1], static_cast<double>(cuts[1]), head[2],
                                   head[3]};
  const std::int32_t token =
      kernel.calls->sample({head[0], logits.data(), sampling}, {powers.data(), keys.data()});
  write(std::vector<std::int32_t>{kernel.calls->argmax(head[0], logits.data()), token});
}

constexpr decltype(&answer_attention) kAnswers[] = {answer_attention, answer_kv_store, answer_embed,
                                                    answer_sample};

void answer(lamella::IsaSet allowed, std::istream& in) {
  const std::uint32_t operation = read<std::uint32_t>(in, 1)[0];
  kAnswers[operation](read<std::uint32_t>(in, 8), allowed, in);
}

}  // namespace

int main(int count, char** arguments) {
  return lamella::probe::answer_cases(count, arguments, answer);
}
