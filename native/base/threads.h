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

// The caller is one of the threads. A waiting thread spins for a moment and then sleeps; where
// there are more threads than usable processors, it sleeps at once. A child process after fork()
// has none of the workers and needs a pool of its own.
class ThreadPool {
 public:
  // Starts `threads` - 1 workers, or fewer if the system grants no more. `threads` is at least 1.
  explicit ThreadPool(std::size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t threads() const { return workers_.size() + 1; }

  // Calls body(Slice) once for each part of [0, count) that is not empty, part i of threads() on
  // thread i, and returns when all are done. The body must neither throw nor call run().
  // Callers from several threads take turns with the workers.
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

  void run_loop(const Loop& loop);
  void run_part(std::size_t index) const;
  void work(std::size_t index);

  std::vector<std::thread> workers_;
  std::size_t parts_ = 1;
  bool spins_ = false;
  bool stopped_ = false;
  Loop loop_ = {};
  std::mutex turn_;
  std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable finished_;
  std::atomic<std::uint64_t> round_{0};  // counts the loops; a change starts the workers
  std::atomic<std::size_t> working_{0};  // workers that have not finished the round
};

}  // namespace lamella
