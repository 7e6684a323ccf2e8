#include "ext/database/database.h"

#include <errno.h>

#include <algorithm>
#include <set>
#include <vector>

#include "ext/checkpoint/rule_set.h"
#include "ext/engine/engine_threads.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"
#include "ext/system/file_id_at.h"
#include "ext/system/file_system.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

// True while it lives.
struct OnlyLooks {
  explicit OnlyLooks(std::atomic<bool>& the_flag) : flag(the_flag) {
    flag.store(true, std::memory_order_relaxed);
  }
  ~OnlyLooks() { flag.store(false, std::memory_order_relaxed); }
  std::atomic<bool>& flag;
};

}  // namespace

std::shared_ptr<Database> Database::ForFile(const std::string& path) {
  const auto id = path.empty() ? std::nullopt : FileIdAt(path);
  if (!id) return nullptr;
  const Registry::FileKey key{id->device, id->inode};
  Registry& registry = Registry::Get();
  std::vector<std::shared_ptr<Database>> others;  // let go of without the lock
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
  // Made without the lock: it looks for files. Who comes second takes the first one's.
  std::shared_ptr<Database> made(new Database(path, *id));
  const MutexLock lock(registry.mutex);
  if (auto database = find()) return database;
  std::erase_if(registry.databases, [](const auto& entry) { return entry.second.expired(); });
  registry.databases[key] = made;
  return made;
}

Database::Database(std::string path, const FileId& id)
    : path_(std::move(path)),
      id_(id),
      wal_path_(path_ + "-wal"),
      shm_path_(path_ + "-shm"),
      control_(path_, id_),
      checkpointer_(path_, id_, [this](bool open) { ShowOwnConnections(open); }) {}

Database::~Database() {
  stopping_ = true;
  if (watch_thread_) watch_thread_->Stop();
  kept_.reset();
  if (thread_) {
    checkpointer_.Cancel();
    thread_->Stop();
    checkpointer_.Resume();
  }
  if (checkpointer_.open()) {
    // A close of the host's that we did not see come.
    if (close_behaviour_) checkpointer_.FollowCloseBehaviour(*close_behaviour_);
    index_at_close_ = checkpointer_.Look();
    close_began_ns_ = MonotonicNs();
    checkpointer_.Close();
  }
  // What this process has measured by itself is added before it may end.
  AtCEdge([this] {
    control_.BeforeClose();
    return SQLITE_OK;
  });
  (void)AtCEdge([this] {  // where memory ends it is not recorded
    RecordClose();
    return SQLITE_OK;
  });
}

void Database::RecordClose() {
  // Was it the last close of all, then it moved the rest of the log and removed it.
  if (!index_at_close_ || index_at_close_->pending() == 0 || FileBytes(wal_path_)) return;
  const std::uint64_t end = MonotonicNs();
  CheckpointEntry entry;
  entry.at_ms = UnixMs();
  entry.pid = ThisProcess().pid;
  entry.pid_namespace = ThisProcess().pid_namespace;
  entry.origin = CheckpointOrigin::kClose;
  entry.result = CheckpointResult::kComplete;
  entry.wal_frames = entry.checkpointed_frames = index_at_close_->max_frame;
  entry.moved_frames = index_at_close_->pending();
  entry.wal_bytes = 0;
  entry.duration_ns = static_cast<std::int64_t>(end - close_began_ns_);
  control()->region().RecordCheckpoint(entry, end);
}

void Database::ShowOwnConnections(bool open) {
  if (shown_in_) shown_in_->ReleaseSlab(shown_slab_);
  shown_in_.reset();
  if (!open) return;
  const auto current = control();
  const std::size_t slab = current->ClaimSlab();
  if (slab >= layout::kConnections) return;
  shown_in_ = current;
  shown_slab_ = slab;
  if (shown_id_ == 0) shown_id_ = Registry::Get().NewConnectionId();
  DescribeConnection(current->region().slab(slab).info,
                     {.id = shown_id_,
                      .main = true,
                      .role = ConnectionRole::kCheckpointer,
                      .opened_ms = UnixMs(),
                      .sqlite_version = sqlite3_libversion_number(),
                      .application = "walmanager",
                      .process = ThisProcess().name,
                      .file = path_});
}

StoredSettings Database::settings() const {
  return control()->region().ReadSettings().value_or(StoredSettings{});
}

std::shared_ptr<KeptConnections> Database::Kept(KeptConnectionsMaker make) {
  const std::lock_guard lock(kept_mutex_);
  if (!kept_) kept_ = make(path_, id_);
  return kept_;
}

void Database::CloseKept() {
  std::shared_ptr<KeptConnections> kept;
  {
    const std::lock_guard lock(kept_mutex_);
    kept = kept_;
  }
  if (kept) kept->CloseConnections();
}

void Database::CloseOwnConnections() {
  CloseKept();
  checkpointer_.Cancel();
  {
    const auto lock = LockForCaller();
    checkpointer_.Close();
    checkpointer_.Revoke();
  }
  checkpointer_.Resume();
}

void Database::StayOutOfTheWay(std::uint64_t now_ns) {
  CloseKept();
  if (inline_.Begin(now_ns,
                    "something else has the trace of a connection that commits: its PRAGMA "
                    "journal_mode would come unannounced")) {
    CloseOwnConnections();
  } else if (checkpointer_.open()) {
    // Another commit may be at work on them: it comes here, too, when it is done.
    const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
    if (lock.owns_lock()) checkpointer_.Close();
  }
}

void Database::BeforeLastClose(const CloseBehaviour& behaviour, const WalFile& log) {
  CloseOwnConnections();
  const std::lock_guard lock(words_mutex_);
  close_behaviour_ = behaviour;
  index_at_close_ = ReadWalIndex(log);
  close_began_ns_ = MonotonicNs();
}

std::string Database::InlineBecause() const {
  if (!EngineHasThreads()) return "SQLite was built or started single-threaded";
  {
    const std::lock_guard lock(words_mutex_);
    if (no_thread_) return "the system gave no thread";
  }
  return inline_.LastsAt(MonotonicNs()) ? inline_.because() : UnguardedBecause();
}

std::string Database::UnguardedBecause() const {
  const std::lock_guard lock(words_mutex_);
  return unguarded_because_;
}

std::string Database::StrategyError() const {
  const std::lock_guard lock(words_mutex_);
  return strategy_error_;
}

bool Database::OthersAreHidden() const {
  const auto connections = control()->Connections();
  return std::any_of(connections.begin(), connections.end(),
                     [](const ConnectionEntry& connection) { return !connection.pid; });
}

std::optional<ReadMarks> Database::FindReadMarks(const HostConnection* host) {
  // The table before the lock: commits that find it taken go on without looking at the log.
  auto marks = ReadMarksOfLockTable(shm_path_);
  if (!checkpointer_.open()) {
    if (!host) return marks;
    const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return marks;
    const bool was_open = checkpointer_.open();
    if (OpenFor(*host)) AddTriedMarks(marks);
    if (!was_open) checkpointer_.Close();
    return marks;
  }
  {
    const OnlyLooks looks(watch_looks_);
    const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
    if (lock.owns_lock()) {
      AddTriedMarks(marks);
      return marks;
    }
  }
  // A checkpoint runs, and its guard reads: that is nobody who pins the log. The table has one
  // entry for all of a process's connections on a mark.
  const auto guard = checkpointer_.guard_mark();
  if (marks && guard && !marks->held_by_others[static_cast<std::size_t>(*guard)]) {
    marks->held[static_cast<std::size_t>(*guard)] = false;
  }
  return marks;
}

std::optional<ReadMarks> Database::FindReadMarksLocked() {
  // The system's table knows whose lock it is, but shows only processes of this pid namespace; a
  // try-lock on a connection of ours, where there is one, sees all.
  std::optional<ReadMarks> marks = ReadMarksOfLockTable(shm_path_);
  AddTriedMarks(marks);
  return marks;
}

void Database::AddTriedMarks(std::optional<ReadMarks>& marks) {
  // A reader can come between the two looks: only a mark that is held at the try after the second
  // look at the table, which does not show its holder either, is held by a process that is hidden.
  constexpr int kLooks = 3;
  for (int look = 1;; ++look) {
    const auto held = checkpointer_.TryReadMarks();
    if (!held) return;
    if (!marks) marks.emplace();
    marks->held = *held;
    bool all_named = true;
    for (std::size_t mark = 0; mark < held->size(); ++mark) {
      if (!marks->held[mark] || !marks->pids[mark].empty()) continue;
      // A checkpoint of another process, which copies, is no reader.
      if (marks->held_alone[mark]) {
        marks->held[mark] = false;
      } else {
        all_named = false;
      }
    }
    if (all_named || !marks->knows_pids || look == kLooks) return;
    const auto again = ReadMarksOfLockTable(shm_path_);
    if (!again) return;
    *marks = *again;
  }
}

std::optional<WalIndex> Database::LastLook() {
  if (checkpointer_.open()) {
    const OnlyLooks looks(watch_looks_);
    const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return std::nullopt;
    if (const auto index = checkpointer_.open() ? checkpointer_.Look() : std::nullopt) return index;
  }
  // A commit that would look meanwhile does.
  const std::lock_guard lock(shown_mutex_);
  return shown_index_.page_size != 0 ? std::optional(shown_index_) : std::nullopt;
}

void Database::Keep(const WalIndex& index) {
  last_index_ = index;
  // A commit does not wait for who reads it, and shows the next.
  const std::unique_lock lock(shown_mutex_, std::try_to_lock);
  if (lock.owns_lock()) shown_index_ = index;
}

void Database::SawLog(const WalIndex& index) {
  // Who has it locked looks by itself.
  const std::unique_lock lock(checkpoint_mutex_, std::try_to_lock);
  if (lock.owns_lock()) Keep(index);
}

bool Database::CheckpointRuns() const {
  const std::uint64_t now = MonotonicNs();
  const std::uint64_t until = control()->region().engine().at_work_until_ns.load();
  return GuardMark().has_value() || (until > now && until - now <= kAtWorkNs);
}

std::optional<std::int64_t> Database::CountUnmanagedProcesses() const {
  const auto marks = ReadMarksOfLockTable(shm_path_);
  if (!marks) return std::nullopt;
  std::set<std::int64_t> managed = {ThisProcess().pid};
  const auto control_file = control();
  const auto connections = control_file->Connections();
  if (connections.size() >= layout::kConnections) return std::nullopt;  // there may be more
  // The system says how this PID namespace numbers the processes that have the control file.
  if (control_file->shared()) {
    for (const std::int64_t pid : LockHolders(control_file->path())) managed.insert(pid);
  }
  for (const ConnectionEntry& connection : connections) {
    if (connection.pid) managed.insert(*connection.pid);
  }
  return std::count_if(marks->open_by.begin(), marks->open_by.end(),
                       [&](std::int64_t pid) { return managed.count(pid) == 0; });
}

std::optional<std::int64_t> Database::WalBytes() const {
  const auto bytes = FileBytes(wal_path_);
  if (!bytes) return errno == ENOENT ? std::optional<std::int64_t>(0) : std::nullopt;
  control()->region().RaiseWalBytesMax(static_cast<std::uint64_t>(*bytes));
  return bytes;
}
std::optional<std::int64_t> Database::DatabaseBytes() const { return FileBytes(path_); }

}  // namespace walmanager
