// The connections of the pool: how they are opened and shown.
#include "ext/core/control/connection_entry.h"
#include "ext/core/control/shared_words.h"
#include "ext/engine/own_vfs.h"
#include "ext/engine/wal_index.h"
#include "ext/read_pool/pool_reader.h"
#include "ext/system/clock.h"
#include "ext/system/file_id_at.h"
#include "ext/system/registry.h"

namespace walmanager {

Status PoolConnection::Open(const std::string& path, const FileId& id, const PoolHost& host) {
  // To open another file under this name would, by the names of its -wal and -shm, harm this one.
  if (IsAtPath(path, id) != AtPath::kSame) {
    return Error{"the database file is not to be found at its path"};
  }
  // Opened for writing where the host's connection is, so that, if it is the last one to close, it
  // leaves what the host's own close would leave. Its guard keeps it from writing.
  const int flags = (host.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  auto opened = OpenOwnConnection(path, flags, host.vfs.c_str());
  if (!opened.ok()) return opened.error();
  OwnFileOf(opened.value().get())->io->CountIn(host.control);
  {
    const MutexLock lock(interrupt_mutex_);
    db_ = std::move(opened.value());
  }
  // One that is not configured may write.
  const auto close = [](PoolConnection* connection) { connection->Close(); };
  std::unique_ptr<PoolConnection, decltype(close)> unfinished(this, close);
  limits_.fill(-1);  // of a new connection: not followed yet
  if (Status configured = Configure(host); !configured.ok()) return configured;
  Show(host, path);
  (void)unfinished.release();
  return Ok{};
}

Status PoolConnection::Configure(const PoolHost& host) {
  sqlite3* db = db_.get();
  sqlite3_wal_hook(db, nullptr, nullptr);
  // The second makes it read: so that it is in WAL mode. It fails where a key would be needed.
  for (const std::string& pragma :
       {"PRAGMA mmap_size=" + std::to_string(host.mmap_size), std::string("PRAGMA schema_version"),
        std::string("PRAGMA query_only=1")}) {
    auto ran = QueryText(db, pragma);
    if (!ran.ok()) return ran.error();
  }
  if (!Fits(host)) return Error{"the file at its path is another one"};
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, host.close.checkpoint ? 0 : 1, nullptr);
  int persist = host.close.persist_wal ? 1 : 0;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
  guard_.PlaceOn(db);
  return Ok{};
}

bool PoolConnection::Fits(const PoolHost& host) const {
  return MapWalIndex(OwnWalFile(db_.get())) == host.index;
}

void PoolConnection::Follow(const PoolHost& host) {
  if (limits_ == host.limits && options_ == host.options) return;
  limits_ = host.limits;
  options_ = host.options;
  // They decide what compiles, and to what.
  kept_.Clear();
  for (std::size_t limit = 0; limit < host.limits.size(); ++limit) {
    sqlite3_limit(db_.get(), static_cast<int>(limit), host.limits[limit]);
  }
  for (std::size_t i = 0; i < kPoolOptions.size(); ++i) {
    if (host.options[i] >= 0)
      sqlite3_db_config(db_.get(), kPoolOptions[i], host.options[i], nullptr);
  }
}

void PoolConnection::Interrupt() {
  const MutexLock lock(interrupt_mutex_);
  if (db_) sqlite3_interrupt(db_.get());
}

void PoolConnection::Reset() {
  kept_.Clear();
  OwnedDb closed;
  const MutexLock lock(interrupt_mutex_);
  closed = std::exchange(db_, nullptr);
}

void PoolConnection::Close() {
  Reset();
  if (shown_in_) shown_in_->ReleaseSlab(slab_);
  shown_in_.reset();
}

Status PoolConnection::Run(const char* sql) {
  // Also where memory ends the guard is on again.
  const auto guard_again = [](ReadGuard* guard) { guard->set_off(false); };
  guard_.set_off(true);
  const std::unique_ptr<ReadGuard, decltype(guard_again)> off(&guard_, guard_again);
  auto ran = QueryText(db_.get(), sql);
  if (!ran.ok()) return ran.error();
  return Ok{};
}

void PoolConnection::Show(const PoolHost& host, const std::string& path) {
  if (id_ == 0) id_ = Registry::Get().NewConnectionId();
  const std::size_t slab = host.control->ClaimSlab();
  if (slab >= layout::kConnections) return host.control->ReleaseSlab(slab);
  shown_in_ = host.control;
  slab_ = slab;
  DescribeConnection(shown_in_->region().slab(slab).info,
                     {.id = id_,
                      .main = true,
                      .role = ConnectionRole::kReader,
                      .opened_ms = UnixMs(),
                      .sqlite_version = sqlite3_libversion_number(),
                      .application = "walmanager",
                      .process = ThisProcess().name,
                      .file = path});
}

void PoolConnection::ShowStatement(std::uint64_t started_ns) {
  if (!shown_in_) return;
  layout::ConnectionInfo& info = shown_in_->region().slab(slab_).info;
  Put(info.started_ns, started_ns);
  Put(info.statement_rows, 0);
  if (started_ns != 0) return;
  AddOwn(info.statements, 1);
  Put(info.last_active_ms, static_cast<std::uint64_t>(UnixMs()));
}

void PoolConnection::ShowRows(std::uint64_t rows) {
  if (!shown_in_) return;
  layout::ConnectionInfo& info = shown_in_->region().slab(slab_).info;
  AddOwn(info.statement_rows, rows);
  AddOwn(info.rows, rows);
}

void PoolConnection::ShowTransaction(bool reads) {
  if (!shown_in_) return;
  layout::ConnectionInfo& info = shown_in_->region().slab(slab_).info;
  const auto state = reads ? TransactionState::kRead : TransactionState::kNone;
  Put(info.transaction_ns, reads ? MonotonicNs() : 0);
  Put(info.transaction, static_cast<std::uint64_t>(state) | (reads ? kExplicitTransaction : 0));
}

}  // namespace walmanager
