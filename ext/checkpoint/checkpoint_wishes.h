// Which connections of this process want automatic checkpoints on one database, so that the
// background thread copies nothing where no connection wants them. PRAGMA wal_autocheckpoint=0 says
// that a connection does not.
//
// Thread rules: any thread. The counts are relaxed: the background thread may see a change at its
// next look, as if the connection had changed its wish by then.
#pragma once

#include <atomic>

namespace walmanager {

enum class CheckpointWish {
  kNone,      // the connection has not committed yet: it neither asks nor objects
  kWanted,    // it commits, and automatic checkpoints are on
  kUnwanted,  // it turned them off, or the program has a WAL hook of its own
};

class CheckpointWishes {
 public:
  // One connection changes its wish. A connection begins and ends with kNone.
  void Change(CheckpointWish before, CheckpointWish now) {
    Add(before, -1);
    Add(now, 1);
  }
  // False where a connection objects and none asks.
  bool allow_copying() const {
    return unwanted_.load(std::memory_order_relaxed) == 0 ||
           wanted_.load(std::memory_order_relaxed) != 0;
  }

 private:
  void Add(CheckpointWish wish, int count) {
    if (wish == CheckpointWish::kWanted) wanted_.fetch_add(count, std::memory_order_relaxed);
    if (wish == CheckpointWish::kUnwanted) unwanted_.fetch_add(count, std::memory_order_relaxed);
  }

  std::atomic<int> wanted_{0}, unwanted_{0};
};

}  // namespace walmanager
