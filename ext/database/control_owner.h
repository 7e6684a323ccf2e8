// Decides when this process looks for the control file of one database, makes it, or goes on in
// private memory, and carries over what the memory before it knew. Changes the settings in it.
//
// Thread rules: any thread. The mutex is held while the file is looked for or made, which may take
// a second; every caller waits for it with a limit, and a commit does not wait at all.
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

// This process and this moment, as wal_alerts shows who changed a setting.
ChangeMark ThisChange();

class ControlOwner {
 public:
  // `path` of the database file, and which file is meant.
  ControlOwner(std::string path, const FileId& id);

  ControlInUse& in_use() { return in_use_; }
  const ControlInUse& in_use() const { return in_use_; }

  // Makes the file if it is not there: at the first commit to the log and at the first setting.
  // False where another process, or another thread of this one, is still making it.
  bool Make(ControlFile::Wish wish);
  // True until the first request to make the file; one load.
  bool is_wanted() const { return wanted_.load(std::memory_order_relaxed); }
  // Looks whether the file has been deleted or replaced, or can be had by now. In calls of the
  // user's, and once per sample interval at commits.
  void Look();
  // At the end of the process's last connection: looks once more for a file to which what was
  // measured in private memory can be added.
  void BeforeClose();

  // Lets `change` edit the settings of all processes. What it returns is what this returns; after
  // an error nothing is changed. `make_file`: false in a read-only or rollback-mode database.
  // `patience`: a call of the user's waits up to a second for other processes, a commit does not.
  enum class Patience { kNone, kSecond };
  Status ChangeSettings(bool make_file, const std::function<Status(StoredSettings&)>& change,
                        Patience patience, const ChangeMark& mark);

 private:
  // Whether the mapped file is that of this database, still at its path.
  bool IsGood(const ControlFile& file) const;
  // False as Make().
  bool Replace(ControlFile::Wish wish) REQUIRES(mutex_);

  const std::string path_;
  const FileId id_;
  ControlInUse in_use_;
  std::atomic<bool> wanted_{true};
  Mutex mutex_;
  std::uint64_t next_attempt_ns_ GUARDED_BY(mutex_) = 0;
  // Doubles while the file cannot be made.
  std::uint64_t attempt_interval_ns_ GUARDED_BY(mutex_) = 0;
  bool was_missing_ GUARDED_BY(mutex_) = false;  // there was no file at the last look
};

}  // namespace walmanager
