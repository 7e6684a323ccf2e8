// Watches a log while other threads work on it: its size, its frames and when it starts over.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ext/core/format/wal_index_format.h"
#include "tests/bench/sqlite_db.h"

namespace walmanager::bench {

// The wal-index in memory, as a connection has it mapped: no lock is taken and no file is opened.
// Closing another descriptor of -wal or -shm would drop the locks that SQLite holds on that file in
// this process.
class WalIndexView {
 public:
  // `db` is in WAL mode, has read, and outlives the view.
  explicit WalIndexView(Db& db);
  // nullopt where a writer was in between at several looks.
  std::optional<WalIndex> Look() const;

 private:
  volatile std::uint32_t* words_;
};

// Looks every 10 ms, from a thread of its own, until it is stopped.
class LogObserver {
 public:
  struct Seen {
    std::uintmax_t bytes = 0;                // the largest -wal file
    std::uint32_t frames = 0;                // the longest log
    std::uint32_t resets = 0;                // how often it started over
    std::vector<std::uint64_t> reset_times;  // Now() of the looks that found it started over
  };
  // `db` as for WalIndexView, and open at `path`.
  LogObserver(Db& db, const std::string& path);
  ~LogObserver() { Stop(); }
  const Seen& Stop();

 private:
  void Look();

  const WalIndexView index_;
  const std::string log_path_;
  std::optional<std::uint32_t> salt_;
  Seen seen_;
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

}  // namespace walmanager::bench
