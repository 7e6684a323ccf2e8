#include "ext/engine/interruptible.h"

#include "ext/engine/sqlite.h"

namespace walmanager {

void Interruptible::Close() {
  const MutexLock lock(mutex_);
  db_ = nullptr;
  running_ = nullptr;
}

void Interruptible::set_databases(std::size_t count) {
  const MutexLock lock(mutex_);
  databases_ = count;
}

void Interruptible::Protection::Add(int change) {
  if (!connection_) return;
  const MutexLock lock(connection_->mutex_);
  connection_->protections_ += change;
}

Interruptible::Outcome Interruptible::Interrupt(const std::function<bool()>& is_meant) {
  const MutexLock lock(mutex_);
  if (!db_) return Outcome::kOver;
  if (protections_ > 0) return Outcome::kIsProtected;
  if (databases_ > 1) return Outcome::kSeveralDatabases;
  if (!running_->IsOneThatReads()) {
    return running_->running() == 0 ? Outcome::kOver : Outcome::kNotAlone;
  }
  if (!is_meant()) return Outcome::kOver;
  sqlite3_interrupt(db_);
  return Outcome::kInterrupted;
}

}  // namespace walmanager
