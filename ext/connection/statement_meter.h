// What the statements of one connection cost: from the events of its trace (STMT, ROW, PROFILE of
// https://www.sqlite.org/c3ref/c_trace.html) into the control file of its main database.
//
// On the path of every statement, so: no allocation, no system call and no SQL where the statement
// is known and nothing else is due. A statement is known by its handle, its text's address and how
// often it has run; where one of them differs the text is compared, and a new one normalized once.
// Thread rules: as those of Connection, whose part it is: in the thread that uses the connection.
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

#include "ext/checkpoint/plan_wish.h"
#include "ext/connection/known_statement.h"
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

  // Where statements are counted from now on; nothing is before. What was counted in private memory
  // goes along. `slab` is this connection's there.
  void Bind(std::shared_ptr<ControlFile> control, std::size_t slab);
  void Unbind();
  // The slabs of this connection in the control files of all its databases. What is going on is
  // shown there at once.
  void SetPlaces(std::vector<PublishedConnection::Place> places);
  bool bound() const { return control_ != nullptr; }
  void SetLimits(std::uint64_t slow_ns, std::size_t max_queries);

  // Fetches what a statement that begins will need, all of it at once: one after the other they
  // would be waited for in turn.
  void Prefetch() const {
    constexpr int kToWrite = 1;
    __builtin_prefetch(&control_);
    __builtin_prefetch(last_, kToWrite);
    // As a number: there may be no last one, and nothing may be added to a null pointer.
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(last_) + 64),
                       kToWrite);
    __builtin_prefetch(published_.first(), kToWrite);
  }
  // A statement begins. `sql` is its own text. What it is about to do is what this returns.
  [[gnu::hot]] StatementKind Started(sqlite3_stmt* stmt, const char* sql, std::uint64_t now_ns) {
    KnownStatement* known = std::exchange(met_, nullptr);
    if (!known) [[unlikely]]
      known = &Meet(stmt, sql);
    if (known->start_ns != 0) [[unlikely]]
      EndUnseen(*known);
    known->start_ns = now_ns;
    if (known == ended_ && IsSecondTry(*known, /*told=*/true)) [[unlikely]] {
      GoOn(*known);
    } else {
      Begin(*known);
    }
    return known->nature.kind;
  }
  // Whether it is one that has run before, told without a look at the text: another at the same
  // place in memory, with its text at the same place, has not run as often. A statement that runs
  // without being Started() must be passed to ForgetText(). To be asked once for each that SQLite
  // announces.
  bool Knows(sqlite3_stmt* stmt, const char* sql) {
    met_ = nullptr;
    if (!bound()) return false;
    KnownStatement* known = Find(stmt);
    if (!known || known->text != sql || RunsOf(stmt) != known->next_run) return false;
    ++known->next_run;
    met_ = known;
    return true;
  }
  // Whether the one that began last writes nothing.
  bool started_reads_only() const { return started_reads_only_; }
  void Row(sqlite3_stmt* stmt) {
    KnownStatement* known = Find(stmt);
    if (!known) return;
    if (known->start_ns == 0) [[unlikely]] {
      if (!IsSecondTry(*known, /*told=*/false)) return;
      GoOn(*known);
    }
    ++known->rows;
    if (known != oldest_) return;
    published_.ShowRows(known->rows);
  }
  [[gnu::hot]] void Ended(sqlite3_stmt* stmt, std::uint64_t now_ns);
  // The statement that ended last has committed to the log of `control`'s database.
  void Committed(ControlFile& control, std::uint64_t frames, std::uint64_t stall_ns);
  // The texts of statements whose plan is wanted, with their ids: taken once.
  // The statement that began last reads a table of this extension: its plan is not wanted. An own
  // connection has no such table, and SQLite would write to the host's error log that there is
  // none.
  void ReadsOwnTable();
  bool wants_plans() const { return !plan_wishes_.empty(); }
  std::vector<PlanWish> TakePlanWishes() { return std::exchange(plan_wishes_, {}); }
  void PutBack(std::vector<PlanWish> wishes) { plan_wishes_ = std::move(wishes); }
  // Another trace has had the slot: what was begun may have ended unseen, and what Knows() may be
  // gone.
  void ForgetActive();
  void ForgetTexts() {
    for (auto& [stmt, known] : known_) known.text = nullptr;
  }
  void ForgetText(sqlite3_stmt* stmt) {
    if (KnownStatement* known = Find(stmt)) known->text = nullptr;
  }
  // Whether it writes and runs, so that what SQLite announces is a part of it: the action of a
  // foreign key, which has no name.
  bool runs_and_writes(sqlite3_stmt* stmt) {
    const KnownStatement* known = Find(stmt);
    return known && known->start_ns != 0 && !known->nature.reads_only;
  }
  // A trigger of the statement is about to run; SQLite counts it as a run.
  void RanTrigger(sqlite3_stmt* stmt) {
    KnownStatement* known = Find(stmt);
    if (known && known->start_ns != 0 && RunsOf(stmt) == known->next_run) ++known->next_run;
  }
  PublishedConnection& published() { return published_; }

 private:
  using Known = KnownStatement;
  struct Fingerprint {
    std::uint64_t id;
    QueryKind kind;
    StatementKind statement_kind;
  };

  Known* Find(sqlite3_stmt* stmt) {
    if (last_ && last_->stmt == stmt) return last_;
    const auto found = known_.find(stmt);
    return found == known_.end() ? nullptr : (last_ = &found->second);
  }
  [[gnu::cold]] Known& Meet(sqlite3_stmt* stmt, const char* sql);
  [[gnu::cold]] void EndUnseen(Known& known);
  Known& Learn(sqlite3_stmt* stmt, const char* sql);
  // `stmt`: the statement's handle, for its text; nullptr where it may be gone.
  bool Locate(Known& known, std::int64_t unix_ms, sqlite3_stmt* stmt);
  std::optional<std::size_t> FindOrMake(QueryStatistics& statistics, const Known& known,
                                        std::int64_t unix_ms, sqlite3_stmt* stmt);
  static std::uint32_t RunsOf(sqlite3_stmt* stmt);
  const Looked& LookAt(Known& known, std::uint64_t duration_ns);
  // Whether its last execution was only the beginning of one: SQLite found another schema, prepared
  // it anew and runs it again. `told`: that it begins, which SQLite did up to 3.38 alone.
  bool IsSecondTry(const Known& known, bool told) const;
  // Takes the first try back; what runs began with that.
  [[gnu::cold]] void GoOn(Known& known);
  [[gnu::hot]] void Begin(Known& known);
  // Ended() for most: one statement alone that has read, is short and has counters of its own.
  // False: nothing was done.
  [[gnu::hot]] bool EndedAsMost(Known& known, std::uint64_t now_ns);
  // Ended() for any other, in steps.
  void EndedAsAny(Known& known, std::uint64_t now_ns);
  Execution Measure(const Known& known, std::uint64_t now_ns) const;
  // Once a second: the wall clock, and what only SQLite knows of the connection.
  void LookOnceASecond(std::uint64_t now_ns);
  // Reads SQLite's counters where the execution is long or sampled.
  void Sample(Known& known, Execution& execution);
  PublishedConnection::Upgrade FollowTransaction(const Known& known);
  // Adds it to the counters of its query.
  void Count(Known& known, const Execution& execution, std::uint64_t now_ns);
  void ShowEnd(const Known& known, const Execution& execution);
  [[gnu::hot]] void ShowBegin(Known& known);
  std::array<std::uint32_t, Known::kCaches> ReadCache() const;
  // At most once in ten seconds; whether the plan is there already is seen where it is made.
  void WishForPlan(Known& known, std::uint64_t now_ns);
  // Of those that run, the one that began first; oldest_ becomes it.
  void ShowOldest();
  std::int64_t UnixMsAt(std::uint64_t now_ns);

  // As for KnownStatement: three cache lines.
  alignas(64) sqlite3* const db_;
  Known* met_ = nullptr;     // that Knows() has told of
  Known* last_ = nullptr;    // found last
  Known* ended_ = nullptr;   // the last that ended
  Known* oldest_ = nullptr;  // of those that have not ended; nullptr: all have
  std::size_t active_ = 0;   // of those that have not ended
  std::uint32_t epoch_ = 0;
  bool started_reads_only_ = false;
  layout::ControlFile* memory_ = nullptr;  // of control_
  std::shared_ptr<ControlFile> control_;
  std::uint64_t next_look_ns_ = 0;
  std::int64_t unix_offset_ms_ = 0;
  std::uint64_t slow_ns_ = 100'000'000;
  std::uint64_t most_take_ns_ = 0;  // what takes as long is looked at
  std::size_t slab_ = 0;
  std::size_t max_queries_ = 1000;
  PublishedConnection published_;

  std::unordered_map<sqlite3_stmt*, Known> known_;
  std::unordered_map<std::size_t, Fingerprint> fingerprints_;  // by a hash of the text
  std::vector<PlanWish> plan_wishes_;
  std::uint64_t looks_ = 0;
  Looked looked_;
};

}  // namespace walmanager
