// wal_io: what is read, written and synced of the files of each database, by the program and by
// walmanager, and what failed.
#include <algorithm>
#include <cstring>

#include "ext/core/base/histogram.h"
#include "ext/core/base/time_text.h"
#include "ext/core/control/io_statistics.h"
#include "ext/engine/sqlite.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

enum class File : std::uint8_t { kDatabase, kLog, kSharedMemory, kJournal };

struct Row {
  std::string schema;
  File file;
  IoOrigin origin;
  IoTraffic traffic;
  IoSyncs syncs;
  IoErrors errors;
};

const char* NameOf(File file) {
  constexpr const char* kNames[] = {"database", "wal", "shm", "journal"};
  return kNames[static_cast<std::size_t>(file)];
}

Result<std::vector<Row>> Read(TableSource& source) {
  return RowsOfEachDatabase<Row>(source, [](const Schema& schema, std::vector<Row>& rows) {
    const auto control = schema.database->control();
    const IoStatistics statistics(control->space());
    for (const File file : {File::kDatabase, File::kLog, File::kSharedMemory, File::kJournal}) {
      for (const IoOrigin origin : {IoOrigin::kApplication, IoOrigin::kWalmanager}) {
        Row row{schema.name, file, origin, {}, {}, {}};
        if (file == File::kJournal) {
          if (origin == IoOrigin::kApplication) rows.push_back(std::move(row));
          continue;
        }
        const auto counted = static_cast<IoFile>(file);
        row.errors = statistics.ReadErrors(origin, counted);
        if (counted != IoFile::kSharedMemory) {
          row.traffic = statistics.ReadTraffic(origin, counted);
          row.syncs = statistics.ReadSyncs(origin, counted);
        }
        rows.push_back(std::move(row));
      }
    }
  });
}

// NULL for what cannot be seen.
template <typename T>
Value Moved(const Row& row, T value) {
  return row.file == File::kDatabase || row.file == File::kLog ? Value(value) : Value();
}
double Ms(std::uint64_t ns) { return static_cast<double>(ns) / 1e6; }

Value SyncMs(const Row& row, double quantile) {
  const auto ns = HistogramQuantile<HistoryWaitScale>(row.syncs.histogram, quantile);
  if (!ns) return {};
  const auto max = static_cast<double>(row.syncs.max_ns);
  // The last bucket also holds all that is longer.
  const bool is_last = *ns >= HistoryWaitScale::Middle(HistoryWaitScale::kBuckets - 1);
  return (is_last ? max : std::min(*ns, max)) / 1e6;
}

// A result code of SQLite, and the system's error.
Value ErrorText(const IoErrors& errors) {
  if (errors.errors == 0) return {};
  struct Name {
    int code;
    const char* text;
  };
  constexpr Name kNames[] = {
      {SQLITE_FULL, "SQLITE_FULL: the disk is full"},
      {SQLITE_IOERR_READ, "SQLITE_IOERR_READ"},
      {SQLITE_IOERR_CORRUPTFS, "SQLITE_IOERR_CORRUPTFS"},
      {SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE"},
      {SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC"},
      {SQLITE_IOERR_DIR_FSYNC, "SQLITE_IOERR_DIR_FSYNC"},
      {SQLITE_IOERR_SHMOPEN, "SQLITE_IOERR_SHMOPEN"},
      {SQLITE_IOERR_SHMSIZE, "SQLITE_IOERR_SHMSIZE"},
      {SQLITE_IOERR_SHMMAP, "SQLITE_IOERR_SHMMAP"},
      {SQLITE_IOERR_NOMEM, "SQLITE_IOERR_NOMEM"},
  };
  const auto* name = std::find_if(std::begin(kNames), std::end(kNames),
                                  [&](const Name& each) { return each.code == errors.last_code; });
  std::string text = name != std::end(kNames)
                         ? name->text
                         : "SQLite result code " + std::to_string(errors.last_code);
  if (errors.last_errno != 0) text += std::string(": ") + strerror(errors.last_errno);
  return text;
}

}  // namespace

const Table& WalIoTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_io", "What was read, written and synced of each database's files since statistics_since of wal_metrics, in all processes, with the time that it took. It sees connections that have walmanager, through a VFS of SQLite's unix family.",
      Read, /*reveals_others=*/false,
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"file", kText, "database, wal, shm (of the shared memory only errors are seen) or journal (the rollback journal, of which SQLite shows nothing: its figures are NULL)", [](const Row& r) -> Value { return NameOf(r.file); }},
          {"origin", kText, "application (the program's connections) or walmanager (its own ones, as for copying in the background)", [](const Row& r) -> Value { return IoOriginName(r.origin); }},
          {"reads", kInteger, "calls that have read from the file. Pages from SQLite's cache need none, nor do those that it maps into memory (PRAGMA mmap_size).", [](const Row& r) -> Value { return Moved(r, r.traffic.reads); }},
          {"read_bytes", kInteger, "bytes that these reads have read, without those of a read beyond the end of the file", [](const Row& r) -> Value { return Moved(r, r.traffic.read_bytes); }},
          {"read_ms", kReal, "time that these reads have taken", [](const Row& r) -> Value { return Moved(r, Ms(r.traffic.read_ns)); }},
          {"writes", kInteger, "calls that have written to the file. A frame of the log is two of them: its header of 24 bytes, and its page.", [](const Row& r) -> Value { return Moved(r, r.traffic.writes); }},
          {"written_bytes", kInteger, "bytes that these writes have written", [](const Row& r) -> Value { return Moved(r, r.traffic.written_bytes); }},
          {"write_ms", kReal, "time that these writes have taken", [](const Row& r) -> Value { return Moved(r, Ms(r.traffic.write_ns)); }},
          {"syncs", kInteger, "times that the file was synced to the disk", [](const Row& r) -> Value { return Moved(r, r.syncs.syncs); }},
          {"sync_ms", kReal, "time that this has taken", [](const Row& r) -> Value { return Moved(r, Ms(r.syncs.sync_ns)); }},
          {"sync_p50_ms", kReal, "time within which half of the syncs ended, within 11.2 %; NULL if there was none", [](const Row& r) -> Value { return SyncMs(r, 0.5); }},
          {"sync_p99_ms", kReal, "time within which 99 of 100 syncs ended, within 11.2 %; NULL if there was none", [](const Row& r) -> Value { return SyncMs(r, 0.99); }},
          {"sync_max_ms", kReal, "time of the longest sync; NULL if there was none", [](const Row& r) -> Value { return r.syncs.syncs ? Value(Ms(r.syncs.max_ns)) : Value(); }},
          {"errors", kInteger, "reads, writes, syncs and mappings that failed with an I/O error or for lack of disk space; these are not among the other figures", [](const Row& r) -> Value { return r.file == File::kJournal ? Value() : Value(r.errors.errors); }},
          {"last_error", kText, "the last of these errors: SQLite's result code and what the system says", [](const Row& r) -> Value { return ErrorText(r.errors); }},
          {"last_error_at", kText, "when it happened, in UTC", [](const Row& r) -> Value { return r.errors.errors ? Value(UtcText(r.errors.last_ms)) : Value(); }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
