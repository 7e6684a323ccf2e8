// wal_environment: one row per database: where it is stored, how this connection uses it, and what
// earlier checks and backups found. These are the facts that system_health needs and no other table
// has.
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "ext/connection/connection.h"
#include "ext/core/base/time_text.h"
#include "ext/core/control/evidence.h"
#include "ext/core/text/sql_names.h"
#include "ext/system/clock.h"
#include "ext/system/file_system.h"
#include "ext/system/open_files.h"
#include "ext/system/replaced_files.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  std::string schema;
  std::uint64_t connection_id = 0;
  Connection::EngineFacts engine;
  std::optional<std::int64_t> synchronous, foreign_keys, cache_size, page_size, mmap_bytes,
      busy_timeout_ms, auto_vacuum, tables_with_references, tables_with_statistics, tables,
      tables_without_statistics;
  std::optional<std::string> shadowing;
  std::optional<double> probe_ms;
  std::optional<std::string> probe_error;
  FileSystemFacts file_system;
  std::optional<StorageEvidence> storage;
  std::optional<IntegrityEvidence> integrity;
  std::optional<BackupEvidence> backup;
  std::optional<ReplacedFiles> replaced;
  LayoutEvidence layout;
  std::optional<bool> mounted_alone;
  std::optional<int> engine_copies;
  std::optional<ReplicatorState> replicator;
};

std::optional<std::int64_t> Number(Connection& connection, const std::string& sql) {
  const auto text = connection.Query(sql);
  if (!text.ok() || !text.value()) return std::nullopt;
  return std::strtoll(text.value()->c_str(), nullptr, 10);
}

// The user's tables and views that have the name of a walmanager table.
std::optional<std::string> Shadowing(Connection& connection, const std::string& schema) {
  std::string names;
  for (const Table* table : AllTables()) {
    names += (names.empty() ? "'" : ", '") + std::string(table->name()) + "'";
  }
  const auto found = connection.Query("SELECT group_concat(name, ', ') FROM " + schema +
                                      ".sqlite_schema WHERE type IN ('table', 'view') AND "
                                      "lower(name) IN (" +
                                      names + ")");
  return found.ok() ? found.value() : std::nullopt;
}

// Tables that have rows but no entry in sqlite_stat1. ANALYZE keeps nothing of an empty table.
std::optional<std::int64_t> WithoutStatistics(Connection& connection, const std::string& schema,
                                              bool analyzed) {
  const auto tables =
      connection.Rows("SELECT name FROM " + schema +
                          ".sqlite_schema WHERE type = 'table' AND rootpage > 0 AND "
                          "name NOT LIKE 'sqlite\\_%' ESCAPE '\\'" +
                          (analyzed ? " AND name NOT IN (SELECT tbl FROM " + schema +
                                          ".sqlite_stat1 WHERE tbl IS NOT NULL)"
                                    : "") +
                          " LIMIT 100",
                      "");
  if (!tables.ok()) return std::nullopt;
  std::int64_t found = 0;
  for (const Connection::TextRow& table : tables.value()) {
    if (table.empty() || !table[0]) continue;
    found += Number(connection, "SELECT EXISTS (SELECT 1 FROM " + schema + "." +
                                    Connection::Quoted(*table[0]) + ")")
                 .value_or(0);
  }
  return found;
}

// Tables that declare foreign keys. LIKE alone would also find a column named preferences.
std::optional<std::int64_t> WithReferences(Connection& connection, const std::string& schema) {
  const auto tables = connection.Rows("SELECT sql FROM " + schema +
                                          ".sqlite_schema WHERE type = 'table' AND rootpage > 0 "
                                          "AND sql LIKE '%REFERENCES%'",
                                      "");
  if (!tables.ok()) return std::nullopt;
  return std::count_if(tables.value().begin(), tables.value().end(), [](const auto& table) {
    return !table.empty() && table[0] && HasReferences(*table[0]);
  });
}

// Facts that only a connection of the program knows. Reads the first page and the schema.
void AskConnection(Connection& connection, const Schema& schema, Row& row) {
  const std::string name = Connection::Quoted(schema.name);
  const auto pragma = [&](const char* what) {
    return Number(connection, "PRAGMA " + name + "." + what);
  };
  row.synchronous = pragma("synchronous");
  row.foreign_keys = Number(connection, "PRAGMA foreign_keys");
  row.cache_size = pragma("cache_size");
  row.mmap_bytes = pragma("mmap_size");
  row.busy_timeout_ms = Number(connection, "PRAGMA busy_timeout");
  row.auto_vacuum = pragma("auto_vacuum");
  row.page_size = connection.PageSize(schema);
  const std::uint64_t start = MonotonicNs();
  const auto probe = connection.Query("SELECT count(*) FROM " + name + ".sqlite_schema");
  row.probe_ms = static_cast<double>(MonotonicNs() - start) / 1e6;
  if (!probe.ok()) {
    row.probe_error = probe.error().message;
    return;
  }
  const auto count = [&](const char* which) {
    return Number(connection, "SELECT count(*) FROM " + name + ".sqlite_schema WHERE " + which);
  };
  row.tables = count("type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'");
  row.tables_with_references = WithReferences(connection, name);
  row.tables_with_statistics = 0;
  const bool analyzed = count("name = 'sqlite_stat1'").value_or(0) != 0;
  row.tables_without_statistics = WithoutStatistics(connection, name, analyzed);
  if (analyzed) {
    row.tables_with_statistics =
        Number(connection, "SELECT count(DISTINCT tbl) FROM " + name + ".sqlite_stat1");
  }
  row.shadowing = Shadowing(connection, name);
  const auto pages = pragma("page_count"), free = pragma("freelist_count");
  if (pages && free) row.storage = StorageEvidence{UnixMs(), *pages, *free};
}

Result<std::vector<Row>> Read(TableSource& source) {
  auto schemas = source.Schemas();
  if (!schemas.ok()) return schemas.error();
  static const auto& engine = *new Connection::EngineFacts(Connection::Engine());
  std::vector<Row> rows;
  for (const Schema& schema : schemas.value()) {
    Row& row = rows.emplace_back();
    row.schema = schema.name;
    row.connection_id = source.id();
    row.engine = engine;
    if (Connection* host = source.host()) AskConnection(*host, schema, row);
    if (!schema.database) continue;
    row.file_system = FileSystemOf(schema.database->path());
    const auto control = schema.database->control();
    layout::Evidence& evidence = control->evidence();
    // Keep them for the health watch, which has no connection to ask.
    if (row.storage) {
      KeepStorage(evidence, *row.storage);
    } else {
      row.storage = ReadStorage(evidence);
    }
    row.integrity = ReadIntegrity(evidence);
    row.backup = ReadBackup(evidence);
    if (schema.is_wal()) row.replaced = schema.database->FindReplacedFiles();
    KeepLayout(evidence, {std::nullopt, std::nullopt, row.auto_vacuum});
    row.layout = ReadLayout(evidence);
    if (!row.page_size) row.page_size = source.PageSize(schema);
    const std::string& path = schema.database->path();
    struct stat status {};
    row.mounted_alone = row.file_system.is_mount_point;
    if (row.mounted_alone.value_or(false)) {
      row.mounted_alone = !FileSystemOf(path + "-wal").is_mount_point.value_or(false);
    }
    // A copy of SQLite opens the -shm file once for all its connections to the database, so the
    // descriptors of the file count the copies.
    if (schema.is_wal() && stat((path + "-shm").c_str(), &status) == 0) {
      row.engine_copies = CountDescriptorsForLook(status);
    }
    row.replicator = source.FindReplicator(schema);
  }
  return rows;
}

constexpr const char* kAutoVacuumNames[] = {"none", "full", "incremental"};

Value SynchronousName(const Row& row) {
  constexpr const char* kNames[] = {"off", "normal", "full", "extra"};
  if (!row.synchronous || *row.synchronous < 0 || *row.synchronous > 3) return {};
  return kNames[*row.synchronous];
}

Value AutoVacuumName(const Row& row) {
  if (!row.auto_vacuum || *row.auto_vacuum < 0 || *row.auto_vacuum > 2) return {};
  return kAutoVacuumNames[*row.auto_vacuum];
}

Value PageSizeWished(const Row& row) {
  const auto& wished = row.layout.page_size_wished;
  return wished && row.page_size && *wished != *row.page_size ? Value(*wished) : Value();
}

Value AutoVacuumWished(const Row& row) {
  const auto& wished = row.layout.auto_vacuum_wished;
  const auto& actual = row.layout.auto_vacuum;
  if (!wished || !actual || *wished == *actual) return {};
  return kAutoVacuumNames[*wished];
}

Value ReplicatorName(const Row& row) {
  if (!row.replicator) return {};
  return *row.replicator == ReplicatorState::kGone ? "gone" : "there";
}

// PRAGMA cache_size is in pages, or in KiB if it is negative.
Value CacheBytes(const Row& row) {
  if (!row.cache_size) return {};
  if (*row.cache_size < 0) return *row.cache_size * -1024;
  return row.page_size ? Value(*row.cache_size * *row.page_size) : Value();
}

template <typename T, typename Get>
Value Of(const std::optional<T>& evidence, Get get) {
  return evidence ? Value(get(*evidence)) : Value();
}

Value First(const Row& row) {
  if (!row.integrity || row.integrity->first.empty()) return {};
  return row.integrity->first;
}

}  // namespace

const Table& WalEnvironmentTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_environment", "One row per attached database: where it is stored, how this connection uses it, and what earlier checks and backups found. Columns about one connection are NULL in evaluations for wal_alerts.",
      Read, /*reveals_others=*/true,
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"sqlite_version", kText, "version of SQLite in this process", [](const Row& r) -> Value { return r.engine.version; }},
          {"wal_reset_bug", kInteger, "1 if this version of SQLite can lose committed pages when checkpoints race (https://www.sqlite.org/wal.html)", [](const Row& r) -> Value { return r.engine.has_wal_reset_bug; }},
          {"threads", kInteger, "1 if SQLite was built and started so that a background thread may use it", [](const Row& r) -> Value { return r.engine.threads; }},
          {"synchronous", kText, "PRAGMA synchronous of this connection: off, normal, full or extra", [](const Row& r) -> Value { return SynchronousName(r); }},
          {"foreign_keys", kInteger, "1 if this connection enforces foreign keys", [](const Row& r) -> Value { return r.foreign_keys; }},
          {"cache_size_bytes", kInteger, "most memory that this connection's page cache takes, in bytes", [](const Row& r) -> Value { return CacheBytes(r); }},
          {"mmap_size_bytes", kInteger, "most bytes of the database file that this connection maps into memory", [](const Row& r) -> Value { return r.mmap_bytes; }},
          {"busy_timeout_ms", kInteger, "PRAGMA busy_timeout of this connection", [](const Row& r) -> Value { return r.busy_timeout_ms; }},
          {"auto_vacuum", kText, "PRAGMA auto_vacuum of the database: none, full or incremental", [](const Row& r) -> Value { return AutoVacuumName(r); }},
          {"tables", kInteger, "tables of the schema that store rows, without SQLite's own", [](const Row& r) -> Value { return r.tables; }},
          {"tables_with_references", kInteger, "tables of the schema that declare foreign keys", [](const Row& r) -> Value { return r.tables_with_references; }},
          {"tables_with_statistics", kInteger, "tables that ANALYZE has looked at", [](const Row& r) -> Value { return r.tables_with_statistics; }},
          {"shadowing", kText, "tables and views of the schema that have the name of a walmanager table, and are found in its place", [](const Row& r) -> Value { return r.shadowing; }},
          {"probe_ms", kReal, "how long reading the schema took just now", [](const Row& r) -> Value { return r.probe_ms; }},
          {"probe_error", kText, "error message of SQLite if reading the schema failed", [](const Row& r) -> Value { return r.probe_error; }},
          {"file_system", kText, "type of the file system of the database, such as ext4 or nfs4; NULL if the system does not say", [](const Row& r) -> Value { return r.file_system.type; }},
          {"file_system_free_bytes", kInteger, "free bytes on the file system that a process without root privileges can use", [](const Row& r) -> Value { return r.file_system.free_bytes; }},
          {"file_system_bytes", kInteger, "size of the file system, in bytes", [](const Row& r) -> Value { return r.file_system.bytes; }},
          {"page_count", kInteger, "pages in the database file", [](const Row& r) -> Value { return Of(r.storage, [](const auto& s) { return s.page_count; }); }},
          {"freelist_pages", kInteger, "pages in the database file that hold nothing", [](const Row& r) -> Value { return Of(r.storage, [](const auto& s) { return s.freelist_pages; }); }},
          {"integrity_at", kText, "when wal_integrity_check() last ended, in UTC; NULL if it never ran", [](const Row& r) -> Value { return Of(r.integrity, [](const auto& i) { return UtcText(i.at_ms); }); }},
          {"integrity_kind", kText, "kind of the last wal_integrity_check(): quick or full", [](const Row& r) -> Value { return Of(r.integrity, [](const auto& i) { return i.full ? "full" : "quick"; }); }},
          {"integrity_findings", kInteger, "number of findings of the last wal_integrity_check(); 0 means ok", [](const Row& r) -> Value { return Of(r.integrity, [](const auto& i) { return i.findings; }); }},
          {"integrity_finding", kText, "first finding of the last wal_integrity_check()", [](const Row& r) -> Value { return First(r); }},
          {"integrity_ms", kReal, "how long the last wal_integrity_check() took", [](const Row& r) -> Value { return Of(r.integrity, [](const auto& i) { return static_cast<double>(i.duration_ns) / 1e6; }); }},
          {"backup_at", kText, "when wal_backup() last ended, in UTC; NULL if it never ran", [](const Row& r) -> Value { return Of(r.backup, [](const auto& b) { return UtcText(b.at_ms); }); }},
          {"backup_path", kText, "path of the last copy that wal_backup() made", [](const Row& r) -> Value { return Of(r.backup, [](const auto& b) { return b.path; }); }},
          {"backup_bytes", kInteger, "size of the last copy that wal_backup() made, in bytes", [](const Row& r) -> Value { return Of(r.backup, [](const auto& b) { return b.bytes; }); }},
          {"tables_without_statistics", kInteger, "tables with rows that ANALYZE has not looked at; at most 100 tables are looked into", [](const Row& r) -> Value { return r.tables_without_statistics; }},
          {"connection_id", kInteger, "number of this connection, as in connection_metrics; NULL if it has no file", [](const Row& r) -> Value { return r.connection_id ? Value(r.connection_id) : Value(); }},
          {"replaced_files_processes", kInteger, "processes with a -wal or -shm file open that is no longer the one at its path; NULL if the system does not say, or outside of WAL mode", [](const Row& r) -> Value { return Of(r.replaced, [](const auto& f) { return f.processes; }); }},
          {"replaced_files", kText, "which process has which replaced -wal or -shm file open; NULL if there is none", [](const Row& r) -> Value { return r.replaced && !r.replaced->detail.empty() ? Value(r.replaced->detail) : Value(); }},
          {"mounted_alone", kInteger, "1 if the database file is mounted by itself, without its directory and its log; NULL if the system does not say", [](const Row& r) -> Value { return r.mounted_alone ? Value(*r.mounted_alone) : Value(); }},
          {"page_size_wished", kInteger, "page size that a program set with PRAGMA page_size while the database kept another; NULL if there was none", [](const Row& r) -> Value { return PageSizeWished(r); }},
          {"auto_vacuum_wished", kText, "mode that a program set with PRAGMA auto_vacuum while the database kept another: none, full or incremental; NULL if there was none", [](const Row& r) -> Value { return AutoVacuumWished(r); }},
          {"engine_copies", kInteger, "copies of SQLite in this process that have the log open; NULL if the system does not say, or outside of WAL mode", [](const Row& r) -> Value { return r.engine_copies ? Value(*r.engine_copies) : Value(); }},
          {"replicator", kText, "state of the replicator (Litestream or the like) whose table is in the schema: there, or gone after 60 s without a sign of it (3 s where the log is beyond its limit and no process has the database open that could be the replicator); NULL if there is no such table", [](const Row& r) -> Value { return ReplicatorName(r); }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
