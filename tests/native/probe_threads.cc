// Runs loops on pools of 1 to 5 threads, with a worker for each and with fewer, and checks that
// every index is visited once; exits with 1 and a sentence otherwise. Built with the thread
// sanitizer too.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "base/threads.h"

namespace {

using lamella::Slice;
using lamella::ThreadPool;

constexpr std::size_t kCounts[] = {0, 1, 2, 3, 4, 5, 7, 16, 1000};

bool covers_once(ThreadPool& pool, std::size_t count) {
  // Plain numbers: a race between two visits is for the sanitizer to see.
  std::vector<std::size_t> visits(count);
  pool.run(count, [&visits](Slice slice) {
    for (std::size_t i = slice.begin; i < slice.end; ++i) ++visits[i];
  });
  for (const std::size_t visited : visits) {
    if (visited != 1) return false;
  }
  return true;
}

bool parts_are_even(std::size_t count, std::size_t parts) {
  std::size_t end = 0;
  for (std::size_t part = 0; part < parts; ++part) {
    const Slice slice = lamella::slice_of(count, parts, part);
    const std::size_t size = slice.end - slice.begin;
    if (slice.begin != end || size < count / parts || size > count / parts + 1) return false;
    end = slice.end;
  }
  return end == count;
}

// Only the first part of a loop counts, so that two counts at once would be a race.
bool callers_take_turns(ThreadPool& pool) {
  std::size_t loops = 0;
  const auto call = [&pool, &loops] {
    for (int i = 0; i < 50; ++i) {
      pool.run(2, [&loops](Slice slice) {
        if (slice.begin == 0) ++loops;
      });
    }
  };
  std::thread other(call);
  call();
  other.join();
  return loops == 100;
}

// The second part ends after all others, which then are not left to the thread that has it.
bool takes_over(ThreadPool& pool) {
  const std::size_t parts = pool.threads();
  std::atomic<std::size_t> others{0};
  pool.run(parts, [&others, parts](Slice slice) {
    if (slice.begin != 1) {
      ++others;
      return;
    }
    while (others != parts - 1) std::this_thread::yield();
  });
  return others == parts - 1;
}

// Workers come late for many of these loops, and the last one is over while they look for a part.
bool short_loops_end(std::size_t threads) {
  std::vector<std::size_t> visits(threads);
  for (int i = 0; i < 20; ++i) {
    ThreadPool pool(threads, threads);
    for (int loop = 0; loop < 100; ++loop) {
      pool.run(threads, [&visits](Slice slice) { ++visits[slice.begin]; });
    }
  }
  for (const std::size_t visited : visits) {
    if (visited != 2000) return false;
  }
  return true;
}

bool holds(std::size_t threads, std::size_t processors) {
  ThreadPool pool(threads, processors);
  if (pool.threads() != threads) return false;
  for (const std::size_t count : kCounts) {
    if (!parts_are_even(count, threads)) return false;
    for (int i = 0; i < 100; ++i) {
      if (!covers_once(pool, count)) return false;
    }
  }
  // Long enough for every worker to have gone to sleep.
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  if (!covers_once(pool, 1000)) return false;
  return threads == 1 || processors == 1 || (callers_take_turns(pool) && takes_over(pool));
}

}  // namespace

int main() {
  for (std::size_t threads = 1; threads <= 5; ++threads) {
    bool good = short_loops_end(threads);
    for (std::size_t processors = 1; processors <= 5; ++processors) {
      good = good && holds(threads, processors);
    }
    if (good) continue;
    std::fprintf(stderr, "a loop on %zu threads went wrong\n", threads);
    return 1;
  }
  return 0;
}
