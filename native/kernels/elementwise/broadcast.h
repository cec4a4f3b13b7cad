// How the elements of two arrays meet, as numpy broadcasts them: where one has a single place on an
// axis, or lacks the axis, that place meets every place of the other.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/axes.h"
#include "base/span.h"
#include "base/threads.h"

namespace lamella {

// One axis of the output; `a` and `b` are the elements of each input from one place to the next, 0
// where a place is repeated.
struct BroadcastAxis {
  std::size_t size;
  std::size_t a;
  std::size_t b;
};

// Axes that both inputs go through in one stride are one axis, and none has a single place, but for
// the last: it is always there. The elements of each input along it are neighbours or one element.
struct Broadcast {
  std::size_t rank;
  BroadcastAxis axes[kMostAxes];

  const BroadcastAxis& last() const { return axes[rank - 1]; }
};

// The plan for inputs of these sizes, each as long as that of the output and filled up with ones in
// front. Requires: at most kMostAxes axes, on each of which the sizes are equal or one of them
// is 1.
Broadcast plan_broadcast(Span<std::size_t> a, Span<std::size_t> b);

// The elements of both inputs where a row of the output, its places on the last axis, begins.
class RowCursor {
 public:
  RowCursor(const Broadcast& shape, std::size_t row) : shape_(shape) {
    for (std::size_t i = shape.rank - 1; i-- > 0; row /= shape.axes[i].size) {
      index_[i] = row % shape.axes[i].size;
      a_ += index_[i] * shape.axes[i].a;
      b_ += index_[i] * shape.axes[i].b;
    }
  }

  void next() {
    for (std::size_t i = shape_.rank - 1; i-- > 0;) {
      const BroadcastAxis& axis = shape_.axes[i];
      a_ += axis.a;
      b_ += axis.b;
      if (++index_[i] < axis.size) return;
      index_[i] = 0;
      a_ -= axis.size * axis.a;
      b_ -= axis.size * axis.b;
    }
  }

  std::size_t a() const { return a_; }
  std::size_t b() const { return b_; }

 private:
  const Broadcast& shape_;
  std::size_t index_[kMostAxes] = {};
  std::size_t a_ = 0;
  std::size_t b_ = 0;
};

// Calls body(element of a, of b, of the output, count) for the rows in a slice of the elements of
// the output; the first and the last may be parts.
template <typename Body>
void for_each_row(const Broadcast& shape, Slice elements, const Body& body) {
  if (elements.begin >= elements.end) return;
  const BroadcastAxis& last = shape.last();
  RowCursor cursor(shape, elements.begin / last.size);
  std::size_t col = elements.begin % last.size;
  for (std::size_t at = elements.begin; at < elements.end; col = 0, cursor.next()) {
    const std::size_t count = std::min(last.size - col, elements.end - at);
    body(cursor.a() + col * last.a, cursor.b() + col * last.b, at, count);
    at += count;
  }
}

}  // namespace lamella
