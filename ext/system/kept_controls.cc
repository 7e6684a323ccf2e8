#include "ext/system/kept_controls.h"

#include <algorithm>
#include <utility>

#include "ext/system/clock.h"
#include "ext/system/control_file.h"
#include "ext/system/descriptor_room.h"
#include "ext/system/file_system.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kKeptNs = 2'000'000'000;

}  // namespace

KeptControls::KeptControls(Scheduler& scheduler)
    : scheduler_(scheduler), task_(scheduler, Scheduler::Kind::kLooks, [this] { return Work(); }) {}

bool KeptControls::LastCloseBegins(const FileId& database, std::uint64_t opened_ns) {
  const std::uint64_t now = MonotonicNs();
  const MutexLock lock(mutex_);
  Closed* place = closed_.data();
  for (Closed& closed : closed_) {
    if (closed.device == database.device && closed.inode == database.inode) {
      place = &closed;
      break;
    }
    if (closed.at_ns < place->at_ns) place = &closed;
  }
  const bool is_known = place->device == database.device && place->inode == database.inode;
  const bool comes_again = is_known && place->at_ns != 0 && opened_ns < place->at_ns + kKeptNs;
  *place = {database.device, database.inode, now};
  if (!comes_again || scheduler_.CountThreads(Scheduler::Kind::kLooks) == 0) return false;
  is_timed_ = is_timed_ || task_.WakeAt(now + kKeptNs);
  return is_timed_;
}

void KeptControls::Keep(Registry& registry, std::shared_ptr<ControlFile> file) {
  if (!file->shared() || !HasDescriptorsToSpare()) return;
  if (!ClosesAtOnce(file->descriptor())) return;
  const std::uint64_t until = MonotonicNs() + kKeptNs;
  const MutexLock opening(registry.control_mutex);
  const MutexLock lock(mutex_);
  if (file.use_count() != 1 || !file->shared()) return;
  const auto place = std::find_if(kept_.begin(), kept_.end(),
                                  [](const Kept& kept) { return kept.file == nullptr; });
  // The close may have taken so long that the task has run.
  is_timed_ = is_timed_ || task_.WakeAt(until);
  if (place == kept_.end() || !is_timed_) return;
  file->Pause();
  *place = {std::move(file), until};
}

bool KeptControls::TakeBack(std::shared_ptr<ControlFile>& file, const FileId& id,
                            const struct stat& database) {
  if (!file) return true;
  std::shared_ptr<ControlFile> closed;  // without the lock
  const MutexLock lock(mutex_);
  const auto found =
      std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) { return kept.file == file; });
  if (found != kept_.end()) found->file.reset();
  if (file->Resume(id, database)) return true;
  closed.swap(file);
  return false;
}

void KeptControls::LetGoOfAll(Registry& registry) {
  // A thread that has this mutex may wait for a file system.
  if (!registry.control_mutex.try_lock()) return;
  const MutexLock opening(registry.control_mutex, std::adopt_lock);
  if (!mutex_.try_lock()) return;
  const MutexLock lock(mutex_, std::adopt_lock);
  bool some_stay = false;
  for (Kept& kept : kept_) {
    if (!kept.file) continue;
    // A thread that has found the file waits for mutex_ to take it back.
    if (kept.file.use_count() != 1) {
      some_stay = true;
      continue;
    }
    kept.file->CloseLocked(registry);
    kept.file.reset();
  }
  if (some_stay) return;
  task_.Cancel();
  is_timed_ = false;
}

std::uint64_t KeptControls::Work() {
  std::array<Kept, kMost> over;
  std::uint64_t next = Scheduler::kNever;
  const std::uint64_t now = MonotonicNs();
  const MutexLock lock(mutex_);
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    if (!kept_[i].file) continue;
    if (kept_[i].until_ns <= now) {
      over[i].file.swap(kept_[i].file);
    } else {
      next = std::min(next, kept_[i].until_ns);
    }
  }
  is_timed_ = next != Scheduler::kNever;
  return is_timed_ ? next : Scheduler::kDone;
}

}  // namespace walmanager
