// Threads: a fixed set of workers that run one loop together and wait for each other.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace lamella {

// A part [begin, end) of a loop.
struct Slice {
  std::size_t begin;
  std::size_t end;
};

// Part `index` of [0, count) split into `parts` contiguous ones, whose sizes differ by at most 1.
constexpr Slice slice_of(std::size_t count, std::size_t parts, std::size_t index) {
  const std::size_t least = count / parts;
  const std::size_t longer = count % parts;
  const std::size_t begin = index * least + (index < longer ? index : longer);
  return {begin, begin + least + (index < longer ? 1 : 0)};
}

// Processors that this process may run on: its affinity mask, not the size of the machine.
std::size_t usable_processors();

// The caller is one of the threads. A waiting thread spins for a moment and then sleeps. There are
// never more threads than processors. A child process after fork() has none of the workers and
// needs a pool of its own.
class ThreadPool {
 public:
  // Splits loops into `threads` parts, at least 1, for as many threads; for fewer if there are
  // fewer processors or the system grants no more.
  explicit ThreadPool(std::size_t threads) : ThreadPool(threads, usable_processors()) {}
  ThreadPool(std::size_t threads, std::size_t processors);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The number of parts.
  std::size_t threads() const { return claims_.size(); }

  // Calls body(Slice) once for each part of [0, count) that is not empty and returns when all are
  // done. Thread i begins with part i and then takes parts that nobody has begun, so that a worker
  // which another process keeps from running holds up at most the part it is in. Without workers
  // there is one call for the whole. The body must neither throw nor call run(). Callers from
  // several threads take turns with the workers.
  template <typename Body>
  void run(std::size_t count, const Body& body) {
    run_loop({[](const void* erased, Slice slice) { (*static_cast<const Body*>(erased))(slice); },
              &body, count});
  }

 private:
  struct Loop {
    void (*call)(const void* body, Slice slice);
    const void* body;
    std::size_t count;
  };

  // The last round in which somebody took a part; a line of the cache for each.
  struct alignas(64) Claim {
    std::atomic<std::uint64_t> round{0};
  };

  void run_loop(const Loop& loop);
  void run_parts(std::size_t first, std::uint64_t round);
  void work(std::size_t index);

  std::vector<Claim> claims_;
  std::vector<std::thread> workers_;
  Loop loop_ = {};
  std::mutex turn_;
  std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable finished_;
  std::atomic<std::uint64_t> round_{0};  // counts the loops; a change starts the workers
  std::atomic<std::size_t> left_{0};     // parts of the round that are not done
};

}  // namespace lamella
