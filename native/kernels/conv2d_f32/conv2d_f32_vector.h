// A fragment: conv2d_f32 on the registers of an instruction set. Included after
// kernels/math/value_<isa>.h and kernels/linear_float/rows_<isa>.h. The tokens of
// kernels/linear_float/panel.h are outputs of a patch; no copy of the image is made.
#include "kernels/linear_float/panel.h"
#include "kernels/math/some.h"

// A rectangle of outputs of an image, at most kChunk of them.
struct Patch {
  std::size_t image;
  Slice rows;
  Slice cols;
};

// Columns of a patch that have the same taps. Their outputs follow each other, row by row.
struct Span {
  Slice taps;
  std::size_t first;  // of its outputs
  std::size_t width;
};

struct Spans {
  Span items[kChunk];
  std::size_t count = 0;
};

// Splits a patch into spans and finds where its outputs lie and their first taps, for a pixel
// outside the image, too: such sizes wrap around, and so does what is added to them.
inline Spans spans_of(const Conv2dF32Call& call, const Patch& patch, Panel& panel) {
  const Window& window = call.window;
  Spans spans;
  std::size_t count = 0;
  for_each_span(window.x, patch.cols, [&](std::size_t first, Slice taps, std::size_t width) {
    spans.items[spans.count++] = {taps, count, width};
    for (std::size_t row = patch.rows.begin; row < patch.rows.end; ++row) {
      const std::size_t from = (patch.image * window.y.in + window.y.input(row, 0)) * window.x.in;
      const std::size_t to = (patch.image * window.y.out + row) * window.x.out;
      for (std::size_t col = first; col < first + width; ++col, ++count) {
        panel.inputs[count] = (from + window.x.input(col, 0)) * call.channels;
        panel.outputs[count] = (to + col) * call.outputs;
      }
    }
  });
  return spans;
}

// Writes those of 16 sums whose outputs are below `end`, which are numbers within the group.
inline void finish(const Conv2dF32Call& call, std::size_t begin, std::size_t first, Slice outputs,
                   const float* sums) {
  if (outputs.begin >= outputs.end) return;
  const std::size_t count = std::min(outputs.end - outputs.begin, kLanes);
  const std::size_t output = first + outputs.begin;
  Value value = load(sums);
  if (call.bias != nullptr) value = add(value, load_some(call.bias + output, count));
  value = lesser_of(fill(call.high), greater_of(fill(call.low), value));
  store_some(call.y + begin + output, value, count);
}

// Some strips of a group for the outputs of a patch.
struct Work {
  const Conv2dF32Call& call;
  const Patch& patch;
  const Spans& spans;
  FloatWeight weight;
  std::size_t group;
  Slice strips;
  bool covered;  // every output has the first tap
};

// Floats from the inputs of a patch to those of the next one.
inline std::size_t patch_step(const Work& work) {
  const Window& window = work.call.window;
  const std::size_t height = work.patch.rows.end - work.patch.rows.begin;
  const std::size_t width = work.patch.cols.end - work.patch.cols.begin;
  const bool whole = width == window.x.out;
  const std::size_t pixels =
      whole ? height * window.y.stride * window.x.in : width * window.x.stride;
  return pixels * work.call.channels;
}

// Columns of the weight: taps of the row `ky` of the window, from the first on.
struct Taps {
  std::size_t ky;
  Slice kx;
};

// Adds the columns of a block, which belong to some taps, where these lie inside the image.
inline void add_block(const Work& work, const Taps& taps, Slice block, Panel& panel) {
  const Conv2dF32Call& call = work.call;
  const Window& window = call.window;
  const std::size_t inputs = call.group_inputs(), row = taps.ky * window.x.kernel;
  const Slice rows = common(work.patch.rows, window.y.outputs(taps.ky));
  if (rows.begin == rows.end) return;
  unpack<Plain<float>>(work.weight, work.strips, block, panel);
  Ahead ahead = ahead_of<Plain<float>>(work.weight, work.strips, block);
  const std::size_t first = (row + taps.kx.begin) * inputs, end = (row + taps.kx.end) * inputs;
  // The first strips bring the inputs into a cache for the others.
  if (work.strips.begin == 0) {
    ahead.inputs = block.end < end ? kBlock : patch_step(work) - (block.begin - first);
  }
  const std::size_t pixel =
      taps.ky * window.y.dilation * window.x.in + taps.kx.begin * window.x.dilation;
  const std::size_t shift = pixel * call.channels + work.group * inputs;
  const float* y = call.y + work.group * work.weight.rows + work.strips.begin * kStripRows;
  for (std::size_t i = 0; i < work.spans.count; ++i) {
    const Span& span = work.spans.items[i];
    const Slice inside{(row + span.taps.begin) * inputs, (row + span.taps.end) * inputs};
    const Slice cols = common(block, inside);
    if (cols.begin == cols.end) continue;
    const std::size_t begin = span.first + (rows.begin - work.patch.rows.begin) * span.width;
    add_product({panel.columns + (cols.begin - block.begin) * kStep, cols.end - cols.begin, call.x,
                 shift + cols.begin - first, work.covered && block.begin == 0,
                 block.end == work.weight.cols ? y : nullptr, ahead},
                panel, work.strips, {begin, begin + (rows.end - rows.begin) * span.width});
  }
}

// Adds all products. Taps of a row that are neighbours in memory are one run of columns.
inline void add_products(const Work& work, Panel& panel) {
  const Window& window = work.call.window;
  const std::size_t inputs = work.call.group_inputs();
  const bool joined = window.x.dilation == 1 && work.call.groups == 1;
  const std::size_t step = joined ? window.x.kernel : 1;
  for (std::size_t ky = 0; ky < window.y.kernel; ++ky) {
    for (std::size_t kx = 0; kx < window.x.kernel; kx += step) {
      const std::size_t first = (ky * window.x.kernel + kx) * inputs, end = first + step * inputs;
      for (std::size_t col = first; col < end; col += kBlock) {
        add_block(work, {ky, {kx, kx + step}}, {col, std::min(col + kBlock, end)}, panel);
      }
    }
  }
}

void run_patch(const Conv2dF32Call& call, const Patch& patch) {
  Panel panel;
  const Spans spans = spans_of(call, patch, panel);
  FloatWeight weight{call.group_outputs(), call.products(), call.weight, nullptr, nullptr};
  const std::size_t strips = strips_of(weight.rows);
  const std::size_t pixels =
      (patch.rows.end - patch.rows.begin) * (patch.cols.end - patch.cols.begin);
  const Slice first = common(patch.rows, call.window.y.outputs(0));
  const bool covered = weight.cols != 0 && spans.count == 1 && same(first, patch.rows) &&
                       same(spans.items[0].taps, {0, call.window.x.kernel});
  for (std::size_t group = 0; group < call.groups; ++group) {
    for (std::size_t strip = 0; strip < strips; strip += kAcross * kWide) {
      const Work work{call, patch, spans, weight, group, {strip, strips}, covered};
      if (!covered) std::fill_n(panel.sums, pixels * kStep, 0.0f);
      add_products(work, panel);
      write_sums(panel, work.strips, pixels,
                 [&](std::size_t i, std::size_t row, const float* sums) {
                   finish(call, panel.outputs[i], group * weight.rows, {row, weight.rows}, sums);
                 });
    }
    weight.floats += strips * weight.cols * kStripRows;
  }
}

// Some rows of an image, in patches of whole rows or of parts of one.
void run_rows(const Conv2dF32Call& call, std::size_t image, Slice rows) {
  const std::size_t width = call.window.x.out, height = rows.end - rows.begin;
  const std::size_t across = (width + kChunk - 1) / kChunk;
  const std::size_t most = std::max<std::size_t>(kChunk / width, 1);
  const std::size_t down = (height + most - 1) / most;
  for (std::size_t i = 0; i < down; ++i) {
    const Slice part = slice_of(height, down, i);
    for (std::size_t k = 0; k < across; ++k) {
      run_patch(
          call,
          {image, {rows.begin + part.begin, rows.begin + part.end}, slice_of(width, across, k)});
    }
  }
}

// The same outputs as one row, where each reads the pixel of its own number alone.
inline void flatten(Conv2dF32Call& call, Slice& rows) {
  Window& window = call.window;
  if (!is_plain(window) || rows.begin == rows.end) return;
  const std::size_t width = window.x.out;
  call.x += rows.begin * width * call.channels;
  call.y += rows.begin * width * call.outputs;
  window.images = window.y.in = window.y.out = 1;
  window.x.in = window.x.out = (rows.end - rows.begin) * width;
  rows = {0, 1};
}

void run(Conv2dF32Call call, Slice rows) {
  flatten(call, rows);
  const std::size_t height = call.window.y.out;
  while (rows.begin < rows.end) {
    const std::size_t image = rows.begin / height, row = rows.begin % height;
    const std::size_t count = std::min(rows.end - rows.begin, height - row);
    run_rows(call, image, {row, row + count});
    rows.begin += count;
  }
}
