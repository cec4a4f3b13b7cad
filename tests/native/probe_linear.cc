// Packs weights and runs the selected linear_a8 kernel on cases (probe_io.h); writes the tiles and
// the outputs.
//
// A case is seven 32-bit numbers (rows, cols, bits, group, tokens, whether zero points and whether
// a bias follow), then codes, scale, zero, x and bias.
#include "kernels/linear_a8/linear_a8.h"
#include "kernels/pack/pack.h"
#include "probe_io.h"

namespace {

using namespace lamella::probe;

template <typename Item>
std::vector<Item> read_grids(std::istream& in, std::size_t rows, std::size_t groups,
                             std::size_t padding) {
  const auto items = read<Item>(in, rows * groups);
  std::vector<Item> packed(lamella::strips_of(rows) * (groups + padding) * lamella::kStripRows);
  lamella::pack_grids(rows, groups, items.data(), packed.data(), padding);
  return packed;
}

void answer(lamella::IsaSet allowed, std::istream& in) {
  const auto head = read<std::uint32_t>(in, 7);
  const std::size_t rows = head[0], cols = head[1], group = head[3], tokens = head[4];
  const int bits = static_cast<int>(head[2]);
  const std::size_t groups = group == 0 ? 1 : lamella::groups_of(cols, group);
  const std::size_t grids = lamella::grids_of(cols, group), padding = grids - groups;
  const std::size_t blocks = lamella::blocks_of(cols);
  const auto codes = read<std::uint8_t>(in, rows * cols);
  const auto half_scale = read_grids<std::uint16_t>(in, rows, group == 0 ? 0 : groups, padding);
  const auto row_scale = read_grids<float>(in, rows, group == 0 ? 1 : 0, 0);
  const auto zero = read_grids<std::uint8_t>(in, rows, head[5] == 0 ? 0 : groups, padding);
  const auto x = read<float>(in, tokens * cols);
  const auto bias = read<float>(in, head[6] == 0 ? 0 : rows);

  std::vector<std::uint8_t> tiles(lamella::strips_of(rows) * blocks * lamella::tile_bytes(bits));
  lamella::pack_tiles(rows, cols, bits, codes.data(), tiles.data());
  write(tiles);
  const lamella::LinearWeight weight{rows,
                                     cols,
                                     bits,
                                     grids,
                                     lamella::grid_shift_of(group),
                                     tiles.data(),
                                     group == 0 ? nullptr : half_scale.data(),
                                     group == 0 ? row_scale.data() : nullptr,
                                     head[5] == 0 ? nullptr : zero.data()};
  std::vector<std::int8_t> inputs(tokens * lamella::token_bytes(cols));
  std::vector<float> scale(tokens * blocks);
  std::vector<std::int32_t> sum(tokens * blocks), half_sum(tokens * blocks);
  const lamella::LinearInput input{tokens,        cols,
                                   inputs.data(), scale.data(),
                                   sum.data(),    group == 16 ? half_sum.data() : nullptr};
  const auto& quantize = said(lamella::linear_input_select(allowed));
  quantize.run(x.data(), input, {0, tokens});
  std::vector<float> y(tokens * rows);
  const auto& kernel = said(lamella::linear_a8_select(bits, allowed));
  const lamella::LinearCall call{weight, input, head[6] == 0 ? nullptr : bias.data(), y.data()};
  kernel.run(call, {0, lamella::strips_of(rows)});
  write(y);
}

}  // namespace

int main(int count, char** arguments) {
  return lamella::probe::answer_cases(count, arguments, answer);
}
