// {"snapshot":true}: the readers of a call begin their transactions at the same commit.
#include <algorithm>

#include "ext/engine/own_vfs.h"
#include "ext/engine/wal_index.h"
#include "ext/read_pool/pool_reader.h"
#include "ext/read_pool/read_pool.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::size_t kMostTogether = 8;
constexpr int kAttemptsBeforeFewer = 4;

}  // namespace

void PoolReader::TakeSnapshot() {
  if (in_snapshot_) return;  // another reader has begun it together with its own
  PoolCall& current = *working_for_;
  const std::size_t others = std::min(current.request().statements.size(), kMostTogether) - 1;
  std::vector<PoolReader*> readers = pool_.Recruit(others);
  // Where memory ends on the way they are not lost.
  const auto give_back = [this](std::vector<PoolReader*>* rest) {
    std::erase(*rest, this);
    pool_.GiveBack(*rest);
  };
  const std::unique_ptr<std::vector<PoolReader*>, decltype(give_back)> recruited(&readers,
                                                                                 give_back);
  readers.push_back(this);
  Status begun = Ok{};
  bool same = false;
  // Under a writer that never pauses many cannot begin between two commits, but one always can.
  for (int attempt = 1; !same && !current.stopped(); ++attempt) {
    begun = BeginTogether(readers, same);
    if (same) break;
    if (!begun.ok() && begun.error().code != ErrorCode::kBusy) {
      // Other connections could not be opened: go on without them.
      if (readers.size() == 1) break;
      Dismiss(readers, readers.size() - 1);
      continue;
    }
    if (MonotonicNs() >= current.deadline_ns()) break;
    ++pool_.retries_;
    begun.ok() ? GiveWay() : PauseOutside(attempt);
    if (attempt % kAttemptsBeforeFewer == 0) Dismiss(readers, readers.size() / 2);
  }
  if (!same) {
    Dismiss(readers, readers.size() - 1);
    current.Fail(begun.ok() ? current.TimedOut()
                            : Error{"the snapshot: " + begun.error().message, begun.error().code});
    return;
  }
  for (PoolReader* reader : readers) {
    reader->in_snapshot_ = true;
    reader->connection_.ShowTransaction(true);
  }
  readers.pop_back();
  pool_.AssignAll(readers, working_for_);
  readers.clear();
}

void PoolReader::Dismiss(std::vector<PoolReader*>& readers, std::size_t count) {
  // This one is the last, and stays.
  for (std::size_t i = 0; i < count; ++i) readers[i]->EndTransaction();
  pool_.GiveBack(std::span(readers).first(count));
  readers.erase(readers.begin(), readers.begin() + static_cast<std::ptrdiff_t>(count));
}

void PoolReader::EndTransaction() noexcept {
  if (!in_transaction()) return;
  (void)AtCEdge([this] {
    (void)connection_.Run("ROLLBACK");
    return SQLITE_OK;
  });
  if (in_transaction()) CloseConnection();
}

Status PoolReader::BeginTogether(const std::vector<PoolReader*>& readers, bool& same) {
  for (PoolReader* reader : readers) {
    Status ready = reader->MakeOpen(working_for_->host());
    if (!ready.ok()) return ready;
    reader->EndTransaction();
    ready = reader->connection_.Run("BEGIN");
    if (!ready.ok()) return ready;
  }
  const auto before = ReadLogEnd(OwnWalFile(connection_.db()));
  // Each begins to read, and sees all that was committed by then.
  for (PoolReader* reader : readers) {
    Status reads = reader->connection_.Run("PRAGMA schema_version");
    if (!reads.ok()) return reads;
  }
  const auto after = ReadLogEnd(OwnWalFile(connection_.db()));
  same = readers.size() == 1 || (before && after && before->salt1 == after->salt1 &&
                                 before->max_frame == after->max_frame);
  return Ok{};
}

}  // namespace walmanager
