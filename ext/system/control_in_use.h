// The control file that this process uses for one database. It is replaced when the file is made,
// deleted or exchanged; `generation` counts the replacements.
//
// The rule that is easy to break: code that keeps the pointer compares the generation, which is one
// load, and asks again when it has changed. Thread rules: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "ext/core/base/mutex.h"
#include "ext/system/control_file.h"

namespace walmanager {

class ControlInUse {
 public:
  // `file` is never nullptr, here and below.
  explicit ControlInUse(std::shared_ptr<ControlFile> file) : file_(std::move(file)) {}

  std::shared_ptr<ControlFile> Get() const {
    const MutexLock lock(mutex_);
    return file_;
  }
  // Acquire: pairs with Replace().
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  const std::atomic<std::uint64_t>& generation_word() const { return generation_; }

  // The last call.
  std::shared_ptr<ControlFile> Take() {
    const MutexLock lock(mutex_);
    return std::move(file_);
  }

  void Replace(std::shared_ptr<ControlFile> file) {
    {
      const MutexLock lock(mutex_);
      file_.swap(file);
    }
    // Release: a thread that sees the new generation finds the new file.
    generation_.fetch_add(1, std::memory_order_release);
  }

 private:
  mutable Mutex mutex_;  // held for a copy of the pointer
  std::shared_ptr<ControlFile> file_ GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> generation_{0};
};

}  // namespace walmanager
