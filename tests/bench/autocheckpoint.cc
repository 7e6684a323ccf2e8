#include "tests/bench/autocheckpoint.h"

namespace walmanager::bench {

void Autocheckpoint::Attach(Db& db) { sqlite3_wal_hook(db.get(), AfterCommit, this); }

CheckpointGroup Autocheckpoint::group() const {
  return {"PASSIVE", "inline", count_, busy_, pages_, total_ns_, max_ns_};
}

int Autocheckpoint::AfterCommit(void* self, sqlite3* db, const char* schema, int frames) {
  auto& autocheckpoint = *static_cast<Autocheckpoint*>(self);
  if (frames >= autocheckpoint.frames_) autocheckpoint.Checkpoint(db, schema);
  return SQLITE_OK;
}

void Autocheckpoint::Checkpoint(sqlite3* db, const char* schema) {
  const auto before = index_.Look();
  int backfilled = 0;
  const std::uint64_t start = Now();
  const int rc =
      sqlite3_wal_checkpoint_v2(db, schema, SQLITE_CHECKPOINT_PASSIVE, nullptr, &backfilled);
  const std::uint64_t ns = Now() - start;
  ++count_;
  total_ns_ += ns;
  for (std::uint64_t max = max_ns_; max < ns && !max_ns_.compare_exchange_weak(max, ns);) {
  }
  if (rc != SQLITE_OK) {
    ++busy_;
  } else if (before && backfilled > static_cast<int>(before->backfill)) {
    pages_ += static_cast<std::uint64_t>(backfilled) - before->backfill;
  }
}

}  // namespace walmanager::bench
