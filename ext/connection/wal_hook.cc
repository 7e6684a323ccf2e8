#include "ext/connection/wal_hook.h"

#include <optional>
#include <string>

#include "ext/core/text/statement_text.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

// What PRAGMA wal_autocheckpoint says: N > 0 where SQLite's own autocheckpoint is the hook, 0 where
// there is none or another's.
Result<std::int64_t> AskAutocheckpoint(sqlite3* db) {
  const auto frames = QueryText(db, "PRAGMA wal_autocheckpoint");
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
  // The next statement that writes begins to watch whether the hook is called.
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
  // Where another hook stands it could not be given back: it is left alone.
  const auto frames = AskAutocheckpoint(db_);
  wanted_ = frames.ok() && frames.value() > 0;
  wanted_ ? Place() : Publish();
}

void WalHook::LookAndPlace() {
  // The program may have set a hook of its own, or called sqlite3_wal_autocheckpoint(), since it
  // opened the connection. This PRAGMA reads no table, and is all that tells without a change.
  const auto frames = AskAutocheckpoint(db_);
  if (!frames.ok()) {
    // For a moment (interrupted, no memory), or the program's authorizer forbids it.
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
    // SQLite's own is in place: it came back by sqlite3_wal_autocheckpoint() or unseen by a trace.
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
  // In a transaction a hook that is due has not been called yet.
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
  // At ever longer distances: a program may write to temporary tables alone.
  const std::uint64_t unheard = plain_writes_ - plain_writes_at_hook_ - 1;
  if ((unheard & (unheard - 1)) != 0) return;
  const auto schemas = WitnessedSchemas(/*may_ask=*/false);
  if (row_writes_ != row_writes_at_witness_ || !witness_.Proves(schemas)) {
    witness_.Arm(schemas);
    row_writes_at_witness_ = row_writes_;
    suspected_at_ = 0;
  } else if (suspected_at_ == 0) {
    // What the blob interface commits calls the hook when the next statement ends.
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
    if (schema.name == "temp") continue;  // it never has a log, and to ask would open it
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
  // Where our hook is not placed yet, or is displaced, what it reads is what SQLite has.
  if (placed_ && automatic()) read_our_zero_ = true;
}

void WalHook::FollowAutocheckpoint(const char* sql) {
  // SQLite did it when the statement was prepared, as it is before each of its runs: its hook, or
  // none, stands where our hook stood. What sqlite3_wal_hook returns is that hook's argument: N.
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
  // A program that has read the 0 of our hook, and sets 0 twice, set it for a while and puts back
  // what it has read.
  automatic_ = !automatic_ && read_our_zero_ && SetsAutocheckpointToZero(sql);
}

void WalHook::StoreWish(ManagedLog& log) {
  log.adopted = wish_;
  ChangeMark mark = ThisChange();
  mark.by += " PRAGMA";
  const Status status = log.database->Change(
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
