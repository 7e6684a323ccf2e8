// The WAL hook of one connection: whether our hook stands, and whether the program wants automatic
// checkpoints. commit_path.h has what happens when the hook is called.
//
// SQLite has one hook for each connection, and its own autocheckpoint is such a hook. Our hook
// takes the place of the autocheckpoint, leaves any other hook alone, and follows what the program
// asks for by PRAGMA wal_autocheckpoint. The rule that is easy to break: sqlite3_wal_hook() returns
// the hook's argument, not the hook, so it is impossible to ask which hook stands without replacing
// it.
// Thread rules: in the thread that uses the connection. Functions that run SQL say so. They may not
// be called within the trace callback, unless their comment says why they may.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ext/connection/hook_witness.h"
#include "ext/connection/managed_logs.h"

struct sqlite3;

namespace walmanager {

enum class HookState { kActive, kDisplaced, kOff };

class WalHook {
 public:
  using Callback = int (*)(void* argument, sqlite3*, const char* schema, int frames);
  WalHook(sqlite3* db, ManagedLogs& logs, Callback callback, void* argument)
      : db_(db), logs_(logs), callback_(callback), argument_(argument) {}
  WalHook(const WalHook&) = delete;
  WalHook& operator=(const WalHook&) = delete;

  // At a load on an open connection: places our hook where SQLite's own autocheckpoint is. Runs
  // SQL.
  [[gnu::cold]] void ReadAtLoad();
  // Whether the first statement or commit is to place it: the extension was loaded while the
  // connection was being opened.
  bool is_to_be_placed() const { return !placed_ && wanted_; }
  // Places our hook where SQLite's own autocheckpoint is, and leaves any other hook alone. Runs a
  // PRAGMA that reads no table, so a trace callback may call it. Where the program has a trace of
  // its own, that trace sees nothing of it.
  enum class TraceIs { kOurs, kPerhapsAnother };
  [[gnu::cold]] void LookAndPlace(TraceIs trace);
  // Whether our hook stands. Takes it back from SQLite's own autocheckpoint. Runs SQL.
  HookState Probe();

  // Whether the connection wants automatic checkpoints: the program has not turned them off with
  // PRAGMA wal_autocheckpoint=0, and has no hook of its own.
  bool automatic() const { return automatic_ && wanted_ && !displaced_; }

  // --- statements that the trace announces

  // PRAGMA wal_autocheckpoint=N: takes the hook back and keeps N as a wish.
  void FollowAutocheckpoint(const char* sql);
  // PRAGMA wal_autocheckpoint without a value.
  void AutocheckpointIsRead();
  // The connection does something that the witness cannot follow, such as to leave WAL mode.
  void ForgetWitness() { witness_.Disarm(); }
  void TransactionEnds() { ++plain_writes_; }
  // A statement that writes and returns no row. `statement`: its serial number.
  void PlainWriteBegins(std::uint64_t statement) {
    if (plain_writes_++ != plain_writes_at_hook_) [[unlikely]]
      Doubt(statement);
  }
  // A statement that writes and returns rows. True for the first of them and then once in 64: then
  // look for what such statements have committed without the hook.
  bool RowWriteBegins() { return row_writes_++ % kRowWritesBetweenLooks == 0; }

  // --- the hook has been called

  void WasCalled() {
    plain_writes_at_hook_ = plain_writes_;
    witness_.Disarm();
  }
  // So it stands, even if it seemed to be displaced.
  void ProvedToStand();
  // Stores what PRAGMA wal_autocheckpoint=N asked for in the settings of the log's database.
  void FollowWish(ManagedLog& log) {
    if (log.adopted != wish_) [[unlikely]]
      StoreWish(log);
  }

 private:
  static constexpr std::uint64_t kRowWritesBetweenLooks = 64;

  [[gnu::cold]] void Place();
  // A statement that writes begins, and the previous one did not call the hook.
  [[gnu::cold]] void Doubt(std::uint64_t statement);
  void SetDisplaced();
  void FollowZero(const char* sql);
  [[gnu::cold]] void StoreWish(ManagedLog& log);
  // All schemas, for the witness. `may_ask`: by SQL, which reads no file where the journal mode is
  // known. Otherwise SQLite's file object is asked whether it has a log.
  std::vector<HookWitness::Schema> WitnessedSchemas(bool may_ask);
  // Whether this build of SQLite begins with its own autocheckpoint. Opens a database in memory.
  static bool HasBuiltinByDefault();
  void Publish() { logs_.SetAutomatic(automatic()); }

  // What statements and commits need comes first: it shares a cache line with the members that
  // ConnectionEvents has before it.
  bool placed_ = false;
  bool wanted_ = true;  // false: PRAGMA wal_autocheckpoint was 0 before our hook could be placed
  bool automatic_ = true;
  bool displaced_ =
      false;  // by the program's hook: proven, or seen before our hook could be placed
  // The program has read PRAGMA wal_autocheckpoint and got 0, because our hook stands.
  bool read_our_zero_ = false;
  std::uint64_t plain_writes_ = 0;  // statements that commit unless they fail
  std::uint64_t plain_writes_at_hook_ = 0;
  std::uint64_t row_writes_ = 0;  // statements that write and return rows
  std::uint64_t wish_ = 0;        // serial number of the last PRAGMA wal_autocheckpoint=N
  std::int64_t wished_frames_ = 0;

  sqlite3* const db_;
  ManagedLogs& logs_;
  HookWitness witness_{db_};
  std::uint64_t row_writes_at_witness_ = 0;
  std::uint64_t suspected_at_ = 0;  // the statement at which it first seemed displaced; 0: never
  const Callback callback_;
  void* const argument_;
};

}  // namespace walmanager
