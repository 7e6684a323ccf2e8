// Measures the statements of one connection by the events of its trace (STMT, ROW, PROFILE of
// https://www.sqlite.org/c3ref/c_trace.html), and counts in the control file of its main database.
//
// On the path of every statement: no allocation, no system call and no SQL where the statement is
// known and nothing else is due. A statement is known by its handle, the address of its text, and
// how often it has run. Where one of these differs, the text is compared, and a new text is
// normalized once.
// Thread rules: in the thread that uses the connection.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ext/connection/known_statement.h"
#include "ext/connection/plan_wishes.h"
#include "ext/connection/published_connection.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/text/statement_text.h"
#include "ext/system/control_file.h"

struct sqlite3;
struct sqlite3_stmt;

namespace walmanager {

class StatementMeter {
 public:
  explicit StatementMeter(sqlite3* db) : db_(db), published_(db) {}

  // Counts statements there from now on; before the first call nothing is counted. What was counted
  // in private memory is moved. `slab`: the slab of this connection there. `planned`: of the
  // database, for which plans are wanted.
  void Bind(std::shared_ptr<ControlFile> control, std::size_t slab,
            std::shared_ptr<PlannedSchema> planned);
  void Unbind();
  // The slabs of this connection in the control files of all its databases. Shows there at once
  // what the connection does now.
  void SetPlaces(std::vector<PublishedConnection::Place> places);
  bool bound() const { return control_ != nullptr; }
  void SetLimits(std::uint64_t slow_ns, std::size_t max_queries);

  // Fetches all that a statement will need which begins now, so that it waits once and not for one
  // cache line after the other.
  void Prefetch() const {
    constexpr int kToWrite = 1;
    __builtin_prefetch(&control_);
    __builtin_prefetch(last_, kToWrite);
    // Added as a number: last_ may be null, and nothing may be added to a null pointer.
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(last_) + 64),
                       kToWrite);
    __builtin_prefetch(published_.first(), kToWrite);
  }
  // Whether the statement has run before, found out without a look at its text: another statement
  // at the same place in memory, with its text at the same place, has not run as often. Ask once
  // for each statement that SQLite announces. A statement that runs without Started() must be
  // passed to ForgetText().
  bool Knows(sqlite3_stmt* stmt, const char* sql) {
    met_ = nullptr;
    if (!bound()) return false;
    KnownStatement* known = Find(stmt);
    if (!known || known->text != sql || RunsOf(stmt) != known->next_run) return false;
    ++known->next_run;
    met_ = known;
    return true;
  }
  // Whether Knows() has found the statement that begins. Where it has not, Meet() comes next.
  bool has_met() const { return met_ != nullptr; }
  // Looks up a statement by its handle and its own text `sql`. A text that is new to this
  // connection is normalized once, and gets an entry in the control file.
  [[gnu::cold]] void Meet(sqlite3_stmt* stmt, const char* sql);
  // The statement that was met begins. Returns what it is about to do.
  [[gnu::hot]] StatementKind Started(std::uint64_t now_ns) {
    KnownStatement& known = *std::exchange(met_, nullptr);
    if (known.start_ns != 0) [[unlikely]]
      EndUnseen(known);
    known.start_ns = now_ns;
    if (&known == ended_ && IsSecondTry(known, /*announced=*/true)) [[unlikely]] {
      GoOn(known);
    } else {
      Begin(known);
    }
    return known.nature.kind;
  }
  // The statement while it runs; nullptr where it does not, or is not known.
  const KnownStatement* FindRunning(sqlite3_stmt* stmt) {
    const KnownStatement* known = Find(stmt);
    return known && known->runs_now() ? known : nullptr;
  }
  // Whether the statement that began last writes nothing.
  bool started_reads_only() const { return started_reads_only_; }
  void Row(sqlite3_stmt* stmt) {
    KnownStatement* known = Find(stmt);
    if (!known) return;
    if (known->start_ns == 0) [[unlikely]] {
      if (!IsSecondTry(*known, /*announced=*/false)) return;
      GoOn(*known);
    }
    ++known->rows;
    if (known != oldest_) return;
    published_.ShowRows(known->rows);
  }
  [[gnu::hot]] void Ended(sqlite3_stmt* stmt, std::uint64_t now_ns);
  // The statement that ended last has committed to the log of `control`'s database.
  void Committed(ControlFile& control, std::uint64_t frames, std::uint64_t stall_ns);
  // The statement that began last reads a table of this extension or calls a function of it, so its
  // plan is not wanted: an own connection has neither, and SQLite would write to the host's error
  // log that there is none.
  void UsesExtension();
  PlanWishes& plan_wishes() { return plan_wishes_; }
  // The statements that are prepared now and have run, where their plan may be asked for.
  std::vector<PlanWish> PreparedStatements();
  // The id of the statement that began last and has not ended; 0: none is known.
  std::uint64_t NewestRunning() const;
  // Gives it an entry in the control file of an attached database. `ends`: the statement that ends
  // now; may be nullptr.
  void MakeEntryIn(ControlSpace* space, sqlite3_stmt* ends);
  // The statement, which has ended, had waited for locks.
  void CountLocks(sqlite3_stmt* stmt, const LockCounts& counts);
  // Another trace has had the slot, so running statements may have ended unseen.
  void ForgetActive();
  void ForgetTexts() {
    for (auto& [stmt, known] : known_) known.text = nullptr;
  }
  void ForgetText(sqlite3_stmt* stmt) {
    if (KnownStatement* known = Find(stmt)) known->text = nullptr;
  }
  // Whether this statement runs and writes. Then what SQLite announces with its handle and text is
  // a part of it: the action of a foreign key, which has no name.
  bool runs_and_writes(sqlite3_stmt* stmt) {
    const KnownStatement* known = Find(stmt);
    return known && known->start_ns != 0 && !known->nature.reads_only;
  }
  // A trigger of the statement is about to run, which SQLite counts as a run of the statement.
  void RanTrigger(sqlite3_stmt* stmt) {
    KnownStatement* known = Find(stmt);
    if (known && known->start_ns != 0 && RunsOf(stmt) == known->next_run) ++known->next_run;
  }
  PublishedConnection& published() { return published_; }
  // How many statements run.
  std::size_t active() const { return active_; }
  // After Meet(): whether the statement has taken 200 ms before, or has never run and multiplies
  // rows.
  bool met_may_last() const { return met_ && met_->may_last; }

 private:
  using Known = KnownStatement;
  struct Fingerprint {
    std::uint64_t id;
    QueryKind kind;
    StatementKind statement_kind;
    bool may_last;
  };

  Known* Find(sqlite3_stmt* stmt) {
    if (last_ && last_->stmt == stmt) return last_;
    const auto found = known_.find(stmt);
    return found == known_.end() ? nullptr : (last_ = &found->second);
  }
  // The entry of a handle, as of a statement that has not run.
  Known& MakeEntry(sqlite3_stmt* stmt);
  const Known* FindNewestRunning() const;
  [[gnu::cold]] void EndUnseen(Known& known);
  // `stmt`: the statement's handle, for its text; nullptr where it may be gone.
  bool Locate(Known& known, std::int64_t unix_ms, sqlite3_stmt* stmt);
  std::optional<std::size_t> FindOrMake(QueryStatistics& statistics, const Known& known,
                                        std::int64_t unix_ms, sqlite3_stmt* stmt);
  static std::uint32_t RunsOf(sqlite3_stmt* stmt);
  const Looked& LookAt(Known& known, std::uint64_t duration_ns);
  // Whether the statement's last execution was only the beginning of the one that runs: SQLite
  // found that the schema had changed, prepared the statement again and runs it again. `announced`:
  // the second try was announced, which only SQLite up to 3.38 does.
  bool IsSecondTry(const Known& known, bool announced) const;
  // Takes the first try back: the execution began with it.
  [[gnu::cold]] void GoOn(Known& known);
  [[gnu::hot]] void Begin(Known& known);
  // Ended() for most statements: no other one runs, it has read, is short, and has counters of its
  // own. False where that is not so; then nothing was done.
  [[gnu::hot]] bool EndedAsMost(Known& known, std::uint64_t now_ns);
  // Ended() for any other statement, in steps.
  void EndedAsAny(Known& known, std::uint64_t now_ns);
  Execution Measure(const Known& known, std::uint64_t now_ns) const;
  // Once a second: asks for the wall clock, and for what only SQLite knows about the connection.
  void LookOnceASecond(std::uint64_t now_ns);
  // Reads SQLite's counters where the execution is long or sampled.
  void Sample(Known& known, Execution& execution);
  PublishedConnection::Upgrade FollowTransaction(const Known& known);
  // Adds the execution to the counters of its query.
  void Count(Known& known, const Execution& execution);
  void ShowEnd(const Known& known, const Execution& execution);
  [[gnu::hot]] void ShowBegin(Known& known);
  std::array<std::uint32_t, Known::kCaches> ReadCache() const;
  // Sets oldest_ to the running statement that began first, and shows it.
  void ShowOldest();
  std::int64_t UnixMsAt(std::uint64_t now_ns);

  // In three cache lines, for the reason that KnownStatement has.
  alignas(64) sqlite3* const db_;
  Known* met_ = nullptr;     // found by Knows() or Meet(), for Started()
  Known* last_ = nullptr;    // found last
  Known* ended_ = nullptr;   // the statement that ended last
  Known* oldest_ = nullptr;  // the running statement that began first; nullptr: none runs
  std::size_t active_ = 0;   // how many run
  std::uint32_t epoch_ = 0;
  bool started_reads_only_ = false;
  ControlSpace* memory_ = nullptr;  // of control_
  std::shared_ptr<ControlFile> control_;
  std::uint64_t next_look_ns_ = 0;
  std::int64_t unix_offset_ms_ = 0;
  std::uint64_t slow_ns_ = 100'000'000;
  std::uint64_t most_take_ns_ = 0;  // executions of this length or more are looked at
  std::size_t slab_ = 0;
  std::size_t max_queries_ = 1000;
  PublishedConnection published_;

  std::unordered_map<sqlite3_stmt*, Known> known_;
  std::unordered_map<std::size_t, Fingerprint> fingerprints_;  // by a hash of the text
  PlanWishes plan_wishes_;
  std::uint64_t looks_ = 0;
  Looked looked_;
};

}  // namespace walmanager
