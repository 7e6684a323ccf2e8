#include "ext/database/database.h"

#include <utility>

#include "ext/engine/engine_threads.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"
#include "ext/system/file_id_at.h"
#include "ext/system/file_system.h"
#include "ext/system/registry.h"

namespace walmanager {

std::shared_ptr<Database> Database::ForFile(const std::string& path) {
  const auto id = path.empty() ? std::nullopt : FileIdAt(path);
  if (!id) return nullptr;
  const Registry::FileKey key{id->device, id->inode};
  Registry& registry = Registry::Get();
  std::vector<std::shared_ptr<Database>> others;  // released without the lock
  const auto find = [&]() -> std::shared_ptr<Database> {
    registry.mutex.AssertHeld();
    const auto found = registry.databases.find(key);
    auto database = found == registry.databases.end() ? nullptr : found->second.lock();
    if (!database || database->id_.IsSame(*id)) return database;
    others.push_back(std::move(database));
    return nullptr;
  };
  {
    const MutexLock lock(registry.mutex);
    if (auto database = find()) return database;
  }
  // Made without the lock, since it looks for files. Where two threads make one, the second thread
  // takes the object of the first.
  std::shared_ptr<Database> made(new Database(path, *id));
  const MutexLock lock(registry.mutex);
  if (auto database = find()) return database;
  // Entries of databases that are gone are removed when the number has doubled: each open would
  // take longer the more databases there are, if it looked at all of them.
  if (registry.databases.size() >= registry.most_databases) {
    std::erase_if(registry.databases, [](const auto& entry) { return entry.second.expired(); });
    registry.most_databases = 2 * registry.databases.size() + Registry::kFewDatabases;
  }
  registry.databases[key] = made;
  return made;
}

Database::Database(std::string path, const FileId& id)
    : path_(std::move(path)),
      id_(id),
      opened_ns_(MonotonicNs()),
      control_(path_, id_),
      checkpoints_(path_, id_, control_.in_use()),
      copier_(checkpoints_, RequestsToControl()),
      engine_(checkpoints_, copier_, RequestsToControl().look),
      replaced_files_(path_),
      news_(path_),
      looks_(checkpoints_, watch_, lease_, cancels_, news_, copier_) {}

ControlRequests Database::RequestsToControl() {
  return {.look = [this] { control_.Look(); },
          .make_if_wanted =
              [this] {
                if (control_.is_wanted()) (void)control_.Make(ControlFile::Wish::kMake);
              }};
}

Database::~Database() {
  checkpoints_.stopping = true;
  Registry& registry = Registry::Get();
  const bool comes_again = registry.kept_controls.LastCloseBegins(id_, opened_ns_);
  looks_.Stop();
  if (comes_again) {
    // On a busy machine no thread has the time to look while a request lasts.
    AtCEdge([this] {
      Watch(Watching::kSample);
      return SQLITE_OK;
    });
  }
  std::shared_ptr<KeptConnections> kept;
  {
    const MutexLock lock(kept_mutex_);
    kept.swap(kept_);
  }
  kept.reset();
  copier_.Stop();
  CheckpointConnections& connections = checkpoints_.connections;
  if (connections.open()) {
    // BeforeLastClose() has not announced this close of the host.
    const MutexLock lock(close_mutex_);
    if (last_close_.behaviour) connections.FollowCloseBehaviour(*last_close_.behaviour);
    last_close_.index = connections.Look();
    last_close_.began_ns = MonotonicNs();
    connections.Close();
  }
  // What this process has measured in private memory is added before the process may end.
  AtCEdge([this] {
    control_.BeforeClose();
    return SQLITE_OK;
  });
  (void)AtCEdge([this] {  // where memory runs out it is not recorded
    RecordClose();
    return SQLITE_OK;
  });
  if (comes_again) registry.kept_controls.Keep(registry, control_.in_use().Take());
}

void Database::RecordClose() {
  const MutexLock lock(close_mutex_);
  const auto& index = last_close_.index;
  if (!index || index->pending() == 0 || FileBytes(checkpoints_.wal_path)) return;
  checkpoints_.records.WriteLastClose(*index, last_close_.began_ns, MonotonicNs());
}

StoredSettings Database::settings() const {
  return control()->region().ReadSettings().value_or(StoredSettings{});
}

std::shared_ptr<KeptConnections> Database::Kept(KeptConnectionsMaker make) {
  const MutexLock lock(kept_mutex_);
  if (!kept_) kept_ = make(path_, id_);
  return kept_;
}

void Database::CloseKept() {
  std::shared_ptr<KeptConnections> kept;
  {
    const MutexLock lock(kept_mutex_);
    kept = kept_;
  }
  if (kept) kept->CloseConnections();
}

CheckpointReport Database::AfterCommit(const HostConnection& host, ControlRegion& region,
                                       const WalIndex& index, std::uint64_t now_ns) {
  looks_.CommitLooks(now_ns);
  return engine_.AfterCommit(host, region, index, now_ns);
}

void Database::RecordOfApplication(CheckpointMode mode, const CheckpointOutcome& outcome,
                                   const WalIndex& index, std::uint64_t start_ns,
                                   std::uint64_t end_ns) {
  CheckpointEntry entry;
  entry.mode = mode;
  entry.origin = CheckpointOrigin::kApplication;
  entry.wal_bytes = MeasureWal();
  checkpoints_.records.Write(std::move(entry), outcome, index, start_ns, end_ns);
}

void Database::CloseOwnConnections() {
  CloseKept();
  engine_.CloseOwnConnections();
}

void Database::StayOutOfTheWay(std::uint64_t now_ns) {
  CloseKept();
  engine_.StayOutOfTheWay(now_ns);
}

void Database::BeforeLastClose(const CloseBehaviour& behaviour, const WalFile& log) {
  CloseOwnConnections();
  const MutexLock lock(close_mutex_);
  last_close_ = {.behaviour = behaviour, .index = ReadWalIndex(log), .began_ns = MonotonicNs()};
}

std::string Database::InlineBecause() const {
  if (!EngineHasThreads()) return "SQLite was built or started single-threaded";
  if (copier_.lacks_thread()) return "the system gave no thread";
  const InlinePeriod& period = checkpoints_.inline_period;
  return period.LastsAt(MonotonicNs()) ? period.because() : UnguardedBecause();
}

void Database::SawLog(const WalIndex& index) {
  // A thread that has the mutex looks at the log itself.
  if (!checkpoints_.mutex.try_lock()) return;
  const MutexLock lock(checkpoints_.mutex, std::adopt_lock);
  checkpoints_.RememberLog(index);
}

std::optional<std::int64_t> Database::DatabaseBytes() const { return FileBytes(path_); }

bool Database::WatchesByItself() { return EngineHasThreads(); }

void Database::Watch(Watching what) {
  news_.Add(watch_.Tick(/*alerts=*/what == Watching::kSampleAndAlerts));
  TellNews();
}

}  // namespace walmanager
