#include "ext/database/control_owner.h"

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

#include "ext/core/base/time_units.h"
#include "ext/core/control/alerts.h"
#include "ext/core/control/evidence.h"
#include "ext/core/policy/setting_changes.h"
#include "ext/system/clock.h"
#include "ext/system/file_id_at.h"
#include "ext/system/file_system.h"
#include "ext/system/lock_within.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kFirstAttemptNs = 10 * kMs;
constexpr std::uint64_t kLongestAttemptNs = 60'000 * kMs;
constexpr std::uint64_t kMakingWaitNs = 1'000 * kMs;
constexpr std::uint64_t kLookingWaitNs = 10 * kMs;

std::shared_ptr<ControlFile> OpenFirst(const std::string& path, const FileId& id) {
  auto file = ControlFile::Open(path, id, ControlFile::Wish::kAttach);
  if (!file) throw std::bad_alloc();
  return file;
}

// Writes what was set in private memory to the file: all of it to one that is new, and to one that
// another process has made what was set later than there.
void KeepSettings(ControlFile& before, ControlFile& after, bool set_in_private) {
  const auto stored = before.region().ReadSettings();
  if (!stored || stored->generation == 0) return;
  const ControlFile::SettingsLock lock(&after, /*waits=*/false);
  if (!lock.held()) return;
  if (after.made_here()) {
    (void)after.region().WriteSettings(*stored);
  } else if (auto there = after.region().ReadSettings(); there && set_in_private) {
    there->TakeOverLater(*stored);
    (void)after.region().WriteSettings(*there);
  }
}

// Writes to `after` what `before` has, before another thread can use `after`.
void CarryOver(ControlFile& before, ControlFile& after, bool set_in_private) {
  if (after.shared() && !before.shared()) KeepSettings(before, after, set_in_private);
  // The file belongs to another database now: the private memory gets its settings.
  if (!after.shared() && before.shared()) {
    if (const auto stored = before.region().ReadSettings()) {
      (void)after.region().WriteSettings(*stored);
    }
  }
  // Evidence and what was learned go into any file, since private memory ends with the process.
  if (after.shared() && !before.shared()) {
    TakeOverEvidence(before.evidence(), after.evidence(), UnixMs());
    Learned learned = after.region().learned();
    learned.Complete(before.region().learned());
    after.region().SetLearned(learned);
  }
  // Where the file was deleted, the end of the log is as the old file has it, so that the
  // background thread sees what is pending.
  const std::uint64_t position =
      before.region().header().log_position.load(std::memory_order_relaxed);
  if (after.shared() && before.shared() && position != 0) {
    bool reset = false;
    (void)after.region().AdvanceLog(static_cast<std::uint32_t>(position >> 32),
                                    static_cast<std::uint32_t>(position), &reset);
  }
}

}  // namespace

ChangeMark ThisChange() {
  const ProcessIdentity& process = ThisProcess();
  return {process.name + " (pid " + std::to_string(process.pid) + ")", UnixMs()};
}

ControlOwner::ControlOwner(std::string path, const FileId& id)
    : path_(std::move(path)), id_(id), in_use_(OpenFirst(path_, id_)) {
  was_missing_ = in_use_.Get()->reason() == kNotMadeYet;
}

bool ControlOwner::IsGood(const ControlFile& file) const {
  return file.shared() && file.StillThere() && IsAtPath(path_, id_) != AtPath::kOther;
}

bool ControlOwner::Make(ControlFile::Wish wish) {
  // A commit goes on in private memory while another thread makes the file.
  const bool waits = wish == ControlFile::Wish::kMakeAndWait;
  if (!LockWithin(mutex_, waits ? kMakingWaitNs : 0)) return false;
  const MutexLock lock(mutex_, std::adopt_lock);
  wanted_.store(false, std::memory_order_relaxed);
  if (IsGood(*in_use_.Get())) return true;
  return Replace(wish);
}

void ControlOwner::Look() {
  const auto current = in_use_.Get();
  if (IsGood(*current)) return;
  if (!LockWithin(mutex_, kLookingWaitNs)) return;
  const MutexLock lock(mutex_, std::adopt_lock);
  // Another thread may have replaced it meanwhile.
  if (in_use_.Get() != current) return;
  if (is_wanted()) {
    // A hundred readers look once a second each. Without this check, each look for a file that is
    // not there would allocate the memory of a whole file.
    if (!current->shared() && was_missing_ && !FileBytes(ControlFile::PathFor(path_))) return;
    Replace(ControlFile::Wish::kAttach);
    return;
  }
  // Where the disk is full, each attempt writes a whole file in vain, so each wait is longer than
  // the last.
  const std::uint64_t now = MonotonicNs();
  if (now < next_attempt_ns_) return;
  Replace(ControlFile::Wish::kMake);
  attempt_interval_ns_ = in_use_.Get()->shared() ? 0
                                                 : std::clamp(2 * attempt_interval_ns_,
                                                              kFirstAttemptNs, kLongestAttemptNs);
  next_attempt_ns_ = now + attempt_interval_ns_;
}

void ControlOwner::BeforeClose() {
  const auto current = in_use_.Get();
  if (is_wanted() || current->shared()) return;
  (void)Make(current->being_made() ? ControlFile::Wish::kMakeBeforeClose
                                   : ControlFile::Wish::kAttach);
}

bool ControlOwner::Replace(ControlFile::Wish wish) {
  was_missing_ = !FileBytes(ControlFile::PathFor(path_));
  auto made = ControlFile::Open(path_, id_, wish);
  if (!made) return true;
  const auto before = in_use_.Get();
  if (!made->shared() && !before->shared()) {
    before->TakeReason(*made);
    return !made->being_made();
  }
  CarryOver(*before, *made, set_in_private_.exchange(false));
  in_use_.Replace(made);
  // What was measured in private memory is added last, when other threads count in the new file.
  if (made->shared() && !before->shared()) before->MoveCountsTo(made);
  return true;
}

Status ControlOwner::ChangeSettings(bool make_file,
                                    const std::function<Status(StoredSettings&)>& change,
                                    Patience patience, const ChangeMark& mark) {
  const bool waits = patience == Patience::kSecond;
  const auto wish = waits ? ControlFile::Wish::kMakeAndWait : ControlFile::Wish::kMake;
  if (make_file && !Make(wish)) {
    return Error{"another process has been making the control file for over a second",
                 ErrorCode::kBusy};
  }
  const auto current = in_use_.Get();
  const ControlFile::SettingsLock lock(current.get(), waits);
  if (!lock.held()) {
    return Error{
        "another process has been changing the settings of this database for over a second",
        ErrorCode::kBusy};
  }
  auto stored = current->region().ReadSettings();
  if (!stored) return Error{"the settings cannot be read: they change too fast", ErrorCode::kBusy};
  const StoredSettings before = *stored;
  if (Status status = change(*stored); !status.ok()) return status;
  if (Status status = current->region().WriteSettings(*stored); !status.ok()) return status;
  if (!current->shared()) set_in_private_.store(true, std::memory_order_relaxed);
  // Here private_because in wal_metrics says why.
  const char* const scope = current->shared() ? "" : ", so far for this process alone";
  for (const SettingChange& changed : ChangesBetween(before, *stored)) {
    Alerts(current->space())
        .RecordChange(changed.what, changed.detail + ", by " + mark.by + scope, mark.at_ms);
  }
  return Ok{};
}

}  // namespace walmanager
