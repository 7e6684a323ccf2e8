// Decides when this process looks for the control file of one database, makes it, or goes on in
// private memory, and carries over what the earlier memory had. Changes the settings in it.
//
// Thread rules: any thread. The mutex is held while the file is looked for or made, which may take
// a second. Every caller waits for it with a limit, and a commit does not wait.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "ext/core/base/mutex.h"
#include "ext/core/base/result.h"
#include "ext/core/format/file_id.h"
#include "ext/core/policy/stored_settings.h"
#include "ext/system/control_in_use.h"

namespace walmanager {

// This process and this moment, as wal_alerts shows them for a changed setting.
ChangeMark ThisChange();

class ControlOwner {
 public:
  // `path` of the database file, and the file that is meant.
  ControlOwner(std::string path, const FileId& id);

  ControlInUse& in_use() { return in_use_; }
  const ControlInUse& in_use() const { return in_use_; }

  // Makes the file where there is none: at the first commit to the log and at the first setting.
  // False where another process, or another thread of this one, is still making it.
  bool Make(ControlFile::Wish wish);
  // True as long as no commit and no setting has asked to make the file; one load.
  bool is_wanted() const { return wanted_.load(std::memory_order_relaxed); }
  // Something was set while there was to be no file: outside of WAL mode.
  bool has_settings_to_keep() const {
    return set_in_private_.load(std::memory_order_relaxed) && is_wanted();
  }
  // Looks whether the file was deleted or replaced, or can be made by now. Called in calls of the
  // user, and once per sample interval at commits.
  void Look();
  // When the last connection of the process closes: looks once more for a file, to add to it what
  // was measured in private memory.
  void BeforeClose();

  // Lets `change` edit the settings of all processes, and returns its status. After an error
  // nothing is changed. `make_file`: false in a rollback-mode database. Then the change stays in
  // private memory, and goes into the file once there is one. `patience`: a call of the user waits
  // up to a second for other processes, a commit does not wait.
  enum class Patience { kNone, kSecond };
  Status ChangeSettings(bool make_file, const std::function<Status(StoredSettings&)>& change,
                        Patience patience, const ChangeMark& mark);

 private:
  // Whether the mapped file belongs to this database and is still at its path.
  bool IsGood(const ControlFile& file) const;
  // Returns false where Make() does.
  bool Replace(ControlFile::Wish wish) REQUIRES(mutex_);

  const std::string path_;
  const FileId id_;
  ControlInUse in_use_;
  // The two stand for themselves, and what follows from them happens under mutex_: read relaxed.
  std::atomic<bool> wanted_{true};
  std::atomic<bool> set_in_private_{false};  // a setting that is not in a file yet
  Mutex mutex_;
  std::uint64_t next_attempt_ns_ GUARDED_BY(mutex_) = 0;
  // Doubles while the file cannot be made.
  std::uint64_t attempt_interval_ns_ GUARDED_BY(mutex_) = 0;
  bool was_missing_ GUARDED_BY(mutex_) = false;  // there was no file at the last look
};

}  // namespace walmanager
