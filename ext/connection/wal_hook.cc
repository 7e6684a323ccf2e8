#include "ext/connection/wal_hook.h"

#include <optional>
#include <string>

#include "ext/core/text/statement_text.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/untraced_pragma.h"
#include "ext/engine/wal_index.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

// What PRAGMA wal_autocheckpoint says: N > 0 where SQLite's own autocheckpoint is the hook, 0 where
// there is no hook or another one.
Result<std::int64_t> AskAutocheckpoint(sqlite3* db,
                                       WalHook::TraceIs trace = WalHook::TraceIs::kOurs) {
  const auto frames = trace == WalHook::TraceIs::kOurs ? QueryText(db, "PRAGMA wal_autocheckpoint")
                                                       : AskUntraced(db, "wal_autocheckpoint");
  if (!frames.ok()) return frames.error();
  return frames.value() ? std::stoll(*frames.value()) : 0;
}

bool InAutocommit(sqlite3* db) { return sqlite3_get_autocommit(db) != 0; }

}  // namespace

void WalHook::Place() {
  sqlite3_wal_hook(db_, callback_, argument_);
  placed_ = true;
  displaced_ = false;
  witness_.Disarm();
  // From the next statement that writes on, the witness watches whether the hook is called.
  plain_writes_at_hook_ = plain_writes_ - 1;
}

bool WalHook::HasBuiltinByDefault() {
  static const bool has = [] {
    const auto memory = OpenInMemory();
    if (!memory.ok()) return true;
    const auto frames = QueryText(memory.value().get(), "PRAGMA wal_autocheckpoint");
    return !frames.ok() || !frames.value() || *frames.value() != "0";
  }();
  return has;
}

void WalHook::ReadAtLoad() {
  // A hook of the program could not be put back after a look at it, so it is left alone.
  const auto frames = AskAutocheckpoint(db_);
  wanted_ = frames.ok() && frames.value() > 0;
  wanted_ ? Place() : Publish();
}

void WalHook::LookAndPlace(TraceIs trace) {
  // The program may have set a hook of its own, or called sqlite3_wal_autocheckpoint(), since it
  // opened the connection. Only this PRAGMA can tell without changing the hook. It reads no table.
  const auto frames = AskAutocheckpoint(db_, trace);
  if (!frames.ok()) {
    // Either an error that passes (interrupted, no memory), or the program's authorizer forbids it.
    const ErrorCode code = frames.error().code;
    if (code == ErrorCode::kInterrupt || code == ErrorCode::kNoMemory ||
        code == ErrorCode::kLocked || code == ErrorCode::kBusy) {
      return;
    }
    wanted_ = false;
    return Publish();
  }
  if (frames.value() > 0) return Place();
  wanted_ = false;
  displaced_ = HasBuiltinByDefault();
  Publish();
}

HookState WalHook::Probe() {
  const auto frames = AskAutocheckpoint(db_);
  const std::int64_t builtin = frames.ok() ? frames.value() : 0;
  if (builtin > 0) {
    // SQLite's own hook stands: sqlite3_wal_autocheckpoint() was called, or a PRAGMA was not
    // traced.
    if (placed_) {
      ++wish_;
      wished_frames_ = builtin;
    }
    wanted_ = automatic_ = true;
    Place();
    Publish();
  }
  if (displaced_) return HookState::kDisplaced;
  if (!placed_) return HookState::kOff;
  // Within a transaction SQLite has not called the hook yet.
  if (!InAutocommit(db_)) return HookState::kActive;
  const auto schemas = WitnessedSchemas(/*may_ask=*/true);
  if (row_writes_ == row_writes_at_witness_ && witness_.Proves(schemas)) {
    SetDisplaced();
    return HookState::kDisplaced;
  }
  witness_.Arm(schemas);
  row_writes_at_witness_ = row_writes_;
  suspected_at_ = 0;
  return HookState::kActive;
}

void WalHook::Doubt(std::uint64_t statement) {
  if (!placed_ || displaced_) return;
  // Looks come at ever longer distances: a program may write only to temporary tables.
  const std::uint64_t unheard = plain_writes_ - plain_writes_at_hook_ - 1;
  if ((unheard & (unheard - 1)) != 0) return;
  const auto schemas = WitnessedSchemas(/*may_ask=*/false);
  if (row_writes_ != row_writes_at_witness_ || !witness_.Proves(schemas)) {
    witness_.Arm(schemas);
    row_writes_at_witness_ = row_writes_;
    suspected_at_ = 0;
  } else if (suspected_at_ == 0) {
    // For a commit by the blob interface, SQLite calls the hook when the next statement ends.
    suspected_at_ = statement;
  } else if (statement > suspected_at_ + 1 && InAutocommit(db_)) {
    SetDisplaced();
  }
}

void WalHook::SetDisplaced() {
  displaced_ = true;
  witness_.Disarm();
  Publish();
}

void WalHook::ProvedToStand() {
  if (!displaced_) return;
  displaced_ = false;
  Publish();
}

std::vector<HookWitness::Schema> WalHook::WitnessedSchemas(bool may_ask) {
  constexpr int kKnowsNames = 3039000;  // sqlite3_db_name()
  std::vector<HookWitness::Schema> schemas;
  if (sqlite3_libversion_number() >= kKnowsNames && sqlite3_api->db_name) {
    for (int i = 0; const char* name = sqlite3_db_name(db_, i); ++i) schemas.push_back({name});
  } else if (may_ask) {
    const auto rows = QueryRows(db_, "PRAGMA database_list", "");
    if (rows.ok()) {
      schemas.push_back({"temp"});
      for (const TextRow& row : rows.value()) {
        if (row.size() > 1 && row[1] && *row[1] != "temp") schemas.push_back({*row[1]});
      }
    }
  }
  for (HookWitness::Schema& schema : schemas) {
    if (schema.name == "temp") continue;  // it never has a log, and asking would open it
    if (may_ask) {
      const auto mode = QueryText(db_, "PRAGMA " + QuoteName(schema.name) + ".journal_mode");
      schema.log = mode.ok() && mode.value() == "wal";
    } else {
      schema.log = WalFile::Ask(db_, schema.name.c_str()).file() != nullptr;
    }
  }
  return schemas;
}

void WalHook::AutocheckpointIsRead() {
  // Where our hook is not placed yet, or is displaced, the program reads SQLite's own value.
  if (placed_ && automatic()) read_our_zero_ = true;
}

void WalHook::FollowAutocheckpoint(const char* sql) {
  // SQLite changed the hook when the statement was prepared, which it is before each run: its
  // own hook, or none, stands in the place of walmanager's. sqlite3_wal_hook() returns that hook's
  // argument: N.
  void* displaced = sqlite3_wal_hook(db_, callback_, argument_);
  placed_ = true;
  if (displaced == argument_) return;
  wanted_ = true;
  displaced_ = false;
  witness_.Disarm();
  const auto frames = static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(displaced));
  if (frames > 0) {
    automatic_ = true;
    ++wish_;
    wished_frames_ = frames;
  } else {
    FollowZero(sql);
  }
  Publish();
}

void WalHook::FollowZero(const char* sql) {
  // A program that read 0 because of our hook, set 0 for a while and then sets 0 again puts back
  // what it has read.
  automatic_ = !automatic_ && read_our_zero_ && SetsAutocheckpointToZero(sql);
}

void WalHook::StoreWish(ManagedLog& log) {
  log.adopted = wish_;
  ChangeMark mark = ThisChange();
  mark.by += " PRAGMA";
  const Status status = log.database->ChangeSettings(
      true,
      [&](StoredSettings& stored) -> Status {
        if (stored.AdoptCheckpointFrames(wished_frames_, mark)) return Ok{};
        return Error{"nothing to change"};
      },
      Database::Patience::kNone, mark);
  // Another process or thread has the settings just now: the next commit tries again.
  if (!status.ok() && status.error().code == ErrorCode::kBusy) log.adopted = wish_ - 1;
}

}  // namespace walmanager
