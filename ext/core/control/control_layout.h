// The layout of the control file `<db>-walmanager`, which every process that uses the database
// maps.
//
// The file begins with a first part of fixed size: header, table of sections, settings, counters
// of checkpoints, the first records of each array, and what was found out about the database. Where
// an array needs more records, a process appends a section to the file and enters it in the table.
// ControlFile is how a process sees both: the first part, then the rest of each array at a fixed
// place, of which only the sections that exist are backed by the file (control_space.h).
//
// All integers are little-endian words of 8 bytes, or parts of one; the file is not exchanged
// between machines. Any change of the first part needs another kLayoutNumber, a change of an
// array's records another version of its kind of section. control_region.h,
// query_statistics.h, history.h and alerts.h say how the fields may be read and written.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ext/core/base/histogram.h"

namespace walmanager::layout {

// Versions up to layout 6 have another magic: they take this file for a foreign one and leave it.
inline constexpr char kMagic[16] = "walmanager sect";
// The size of the first part in this layout. A change of it is another layout: raise the number,
// too.
inline constexpr std::uint64_t kLayoutNumber = 7;
#ifndef WALMANAGER_SMALL_LAYOUT
inline constexpr std::size_t kFirstBytes = 196'608;
#else
inline constexpr std::size_t kFirstBytes = 131'072;
#endif

// Layouts 5 and 6 are read for their settings: the same entries, as many, in two blocks after a
// page of header that begins in the same way.
inline constexpr char kOldMagic[16] = "walmanager ctrl";

// Sections are multiples of this: the page size of some aarch64 kernels.
inline constexpr std::size_t kBlockBytes = 65'536;
inline constexpr std::size_t kSections = 320;  // that the table has room for

inline constexpr std::size_t kBuiltinRules = 64;
inline constexpr std::size_t kLearned = 16;
inline constexpr std::size_t kHotQueries = 12;  // of a connection, with counters of its own
// How many records there may be in all, how many of them are in the first part, and of connections
// how many are in ControlFile: the others are in ManyConnections.
#ifndef WALMANAGER_SMALL_LAYOUT
inline constexpr std::size_t kSettings = 192, kFirstSettings = 24;
inline constexpr std::size_t kRules = 128, kFirstRules = 6;
inline constexpr std::size_t kCheckpointRecords = 512, kFirstCheckpointRecords = 64;
inline constexpr std::size_t kConnections = 4096, kNearConnections = 256, kFirstConnections = 6;
inline constexpr std::size_t kQueries = 1024;  // statements that can be told apart
inline constexpr std::size_t kFirstQueries = 20;
inline constexpr std::size_t kHistorySamples = 900;   // 15 minutes at one a second
inline constexpr std::size_t kHistoryMinutes = 1440;  // a day
inline constexpr std::size_t kHistoryHours = 2160;    // 90 days
inline constexpr std::size_t kAlerts = 256, kFirstAlerts = 16;
#else
// For the fuzzer, which copies a whole file for each input. Rings also wrap around sooner.
inline constexpr std::size_t kSettings = 16, kFirstSettings = 8;
inline constexpr std::size_t kRules = 8, kFirstRules = 3;
inline constexpr std::size_t kCheckpointRecords = 8, kFirstCheckpointRecords = 4;
inline constexpr std::size_t kConnections = 6, kNearConnections = 4, kFirstConnections = 2;
inline constexpr std::size_t kQueries = 32, kFirstQueries = 8;
inline constexpr std::size_t kHistorySamples = 12;
inline constexpr std::size_t kHistoryMinutes = 12;
inline constexpr std::size_t kHistoryHours = 12;
inline constexpr std::size_t kAlerts = 16, kFirstAlerts = 4;
#endif
inline constexpr std::size_t kWatchedChecks = 96;

using Counter = std::atomic<std::uint64_t>;
static_assert(Counter::is_always_lock_free && sizeof(Counter) == 8);

struct Header {
  char magic[16];
  std::uint64_t layout_number;
  std::uint64_t file_bytes;
  Counter ready;  // 1 once everything else is in place
  std::uint64_t database_device;
  std::uint64_t database_inode;
  char boot_id[40];
  Counter statistics_since_ms;      // Unix time
  std::uint64_t database_birth_ns;  // Unix time; 0: not known
  std::uint64_t database_handle;    // likewise; FileId has the words
  // On a cache line of their own: every statement reads them, and they change seldom.
  alignas(64) Counter settings_generation;  // its lowest bit names the copy in force
  Counter reset_generation;                 // slabs of another generation count as zero
  Counter query_generation;                 // likewise counters of statements
  Counter cut_until_ns;  // CLOCK_MONOTONIC: the log's file is being cut, statements wait
  alignas(64) Counter log_position;  // salt1 << 32 | mxFrame, as of the last counted commit
  Counter last_commit_ns;            // CLOCK_MONOTONIC
  Counter last_checkpoint_ns;        // CLOCK_MONOTONIC; at first the time of creation
  Counter commits_at_checkpoint;     // all commits counted when the last checkpoint ended
  Counter slabs_used;                // slabs from this one on were never owned
  Counter gate_until_ns;  // CLOCK_MONOTONIC: a commit finishes the remainder, others wait
  // On a line of their own: few write them.
  alignas(64) Counter connections_not_shown;  // that found no slab, and have not closed
};
static_assert(sizeof(Header) <= 4096);

// What a section has more records of. The numbers are in files: they stay.
enum class SectionKind : std::uint8_t {
  kMoreSettings = 1,  // all that the first part has no room for, in one section
  kMoreCheckpoints,
  kMoreSlabs,
  kHot,
  kManySlabs,
  kManyHot,
  kMoreQueries,
  kSamples,
  kMinutes,
  kHours,
  kMoreAlerts,
};
inline constexpr std::size_t kSectionKinds = 12;  // with 0, which is none
inline constexpr std::uint8_t kSectionVersion = 1;

// The sections in the order in which they were appended. A word is a kind, its version << 8, which
// section of that kind << 16 (counted from 0), and the block of the file at which it begins << 32.
// The first word that is 0 ends the table. A word is stored with release once its section is all
// zeros on the disk, and never changes after that.
struct SectionTable {
  std::array<Counter, kSections> words;
};

struct SettingEntry {
  char name[64];
  std::int64_t value;  // of a setting that is a real number: the bits of a double
  std::int64_t changed_at_ms;
  char changed_by[40];
  std::uint64_t adopted;  // 1: followed PRAGMA wal_autocheckpoint
};
static_assert(sizeof(SettingEntry) == 128);

struct RuleEntry {
  char strategy[64];
  char name[64];
  char condition[1024];
  std::int64_t priority;
  double stall_budget_ms;
  std::uint64_t mode;
  std::uint64_t runs;
};
static_assert(sizeof(RuleEntry) == 1184);

struct SettingsBlock {
  char active_strategy[64];
  std::int64_t strategy_changed_at_ms;  // 0: never
  char strategy_changed_by[40];
  std::uint64_t setting_count;
  std::uint64_t rule_count;
  std::array<SettingEntry, kFirstSettings> settings;
  std::array<RuleEntry, kFirstRules> rules;
};
static_assert(sizeof(SettingsBlock) % 8 == 0);

// The settings and rules after those of the block.
struct MoreSettings {
  std::array<SettingEntry, kSettings - kFirstSettings> settings;
  std::array<RuleEntry, kRules - kFirstRules> rules;
};

struct RuleCounters {
  Counter fired;
  Counter last_fired_ms;  // Unix time
};

// What the looks for a replicator found (replicator_watch.h).
struct ReplicatorWords {
  Counter state;      // ReplicatorState
  Counter content;    // a hash of its table
  Counter sign_ns;    // CLOCK_MONOTONIC: the last sign of life
  Counter looked_ns;  // CLOCK_MONOTONIC: the last look
  Counter looks;      // since that sign
};

// What the checkpointers of all processes tell each other and commits.
struct EngineState {
  Counter prepared;          // salt1 << 32 | frames: a commit may finish a remainder of so many
  Counter prepared_rule;     // index into the rules of the active strategy, + 1
  Counter at_work_until_ns;  // CLOCK_MONOTONIC: a process copies frames until then at most
  Counter brake_frame;       // from this frame on commits pause while frames are copied; 0: none
  Counter optimized_ms;      // Unix time of walmanager's last PRAGMA optimize; 0: none
  Counter evaluated_ns;      // CLOCK_MONOTONIC, when alerts were last evaluated
  Counter health_score;      // of that, + 1; 0: unknown
  std::array<Counter, kLearned> learned;  // bits of a double, as LearnedValue; 0: unknown
  ReplicatorWords replicator;
};

struct CheckpointCounters {
  std::array<Counter, 4> by_mode;
  std::array<Counter, 5> by_origin;
  std::array<Counter, 5> by_result;
  Counter frames;
  Counter total_ns;
  Counter max_ns;
  Counter last_ns;    // duration of the last one
  Counter last_ms;    // Unix time of its end
  Counter last_mode;  // CheckpointMode + 1; 0: none yet
  Counter wal_resets;
  Counter wal_bytes_max;
  std::array<Counter, DurationScale::kBuckets> histogram;
};

struct CheckpointRecord {
  std::int64_t at_ms;           // Unix time of its end
  std::int64_t pid;             // as its process itself says, of the namespace below
  std::uint64_t pid_namespace;  // as in ConnectionSlab; also of blocked_by_pid
  std::uint64_t mode;
  std::uint64_t origin;
  std::uint64_t result;
  std::int64_t wal_frames;  // -1: unknown, here and below
  std::int64_t checkpointed_frames;
  std::int64_t moved_frames;
  std::int64_t wal_bytes;
  std::int64_t duration_ns;
  std::int64_t blocked_by_pid;
  char rule[64];
  char error[96];
};
static_assert(sizeof(CheckpointRecord) == 256);

struct CheckpointSlot {
  Counter id;  // 0: empty or being written
  CheckpointRecord record;
};

struct CheckpointRing {
  Counter next_id;       // the last id given out
  Counter forgotten_id;  // records up to this one were reset
  std::array<CheckpointSlot, kFirstCheckpointRecords> slots;
};

// What a connection is and does.
struct ConnectionInfo {
  // On a cache line of their own: every statement writes them.
  alignas(64) Counter query_id;  // of its oldest statement that has not ended, else the last one's
  Counter started_ns;            // of that, CLOCK_MONOTONIC; 0: all have ended
  Counter statement_rows;        // that it returned so far
  Counter statements, rows;
  Counter last_active_ms;  // Unix time
  alignas(64) Counter id;  // the same in the files of all its databases; 0: none
  Counter main;            // 1: this file is its main database's
  Counter role;            // ConnectionRole
  Counter opened_ms;       // Unix time
  Counter transaction;     // TransactionState, + 4 where BEGIN began it
  Counter transaction_ns;  // CLOCK_MONOTONIC, its start
  Counter commits, rollbacks, upgraded;
  Counter trace;       // TraceState
  Counter trace_lost;  // commits whose statement was not seen
  // As SQLite counts them, and 0 where it has not been asked yet.
  Counter cache_hits, cache_misses, cache_spills, cache_used, schema_used, statement_used;
  Counter sqlite_version;  // sqlite3_libversion_number()
  Counter foreign_keys;    // 1: it does not enforce them, 2: it does; 0: not asked yet
  // Its oldest statement as the sampler last saw it, and since when it has returned no row.
  Counter seen_started_ns, seen_rows, still_since_ns;
  char application[64];
  char process[32];
  char file[512];  // its main database
  // Of a backup or a restore: pages copied so far, and of how many; 0: not known yet.
  Counter pages_done, pages_total;
  Counter upgrades_failed;  // writes that failed in transactions that had read
};

// One connection's counters for one database, on cache lines of its own.
struct alignas(64) ConnectionSlab {
  Counter owner;          // a random number of the process that has it; 0: free
  Counter pid;            // as that process itself says
  Counter pid_namespace;  // of that pid: the inode of /proc/self/ns/pid; 0: unknown
  ConnectionInfo info;
  Counter reset_generation;
  Counter commits;
  Counter frames_written;
  Counter timed_commits;  // commits with a start that was seen
  Counter commit_ns;
  Counter commit_max_ns;
  Counter stall_ns;
  std::array<Counter, DurationScale::kBuckets> commit_histogram;
};

// What is counted of a statement.
struct QueryCounters {
  // What every execution writes comes first.
  Counter calls;
  Counter total_ns;
  Counter square_low, square_high;  // the sum of the squares of durations in ns, 128 bits
  Counter rows;
  Counter last_seen_ms;    // Unix time
  Counter min_ns, max_ns;  // 0: none yet
  Counter slow_calls;
  Counter upgraded;  // transactions that had read and then wrote in this statement
  Counter upgrades_failed;
  Counter stall_ns;
  Counter wal_frames;
  Counter reprepares;
  Counter scan_calls;  // calls for which the next four were counted
  Counter fullscan_steps, sorts, auto_index_rows, vm_steps;
  Counter cache_calls;  // likewise
  Counter cache_hits, cache_misses, cache_writes, cache_spills;
  // Before a bucket overflows, all are halved: they are weights.
  std::array<std::atomic<std::uint32_t>, StatementScale::kBuckets> histogram;
};
static_assert(sizeof(QueryCounters) % 8 == 0);

// A statement, and the counts of connections that have no counters of their own for it.
struct QueryEntry {
  Counter described;  // the id that the next fields are of
  Counter kind;       // QueryKind
  Counter first_seen_ms;
  Counter plan_check;   // a hash of the plan: a plan that is half written has another
  Counter plan_schema;  // PRAGMA schema_version at which it was made, + 1
  Counter last_text;    // a hash of the text, as it was given, of the last one that was new
  Counter texts;        // how often that was another one
  char text[1200];
  char plan[1008];
  alignas(64) QueryCounters counters;
};

// Counters that one connection alone writes.
struct alignas(64) HotQuery {
  Counter id;  // 0: free
  Counter entry;
  Counter generation;  // as header.query_generation
  QueryCounters counters;
};

// The counters of statements that one connection has.
using HotQueries = std::array<HotQuery, kHotQueries>;

struct QueryTable {
  std::array<Counter, kQueries> ids;  // 0: free; of the entry at the same place
  Counter evictions;
  alignas(64) QueryCounters evicted;
  std::array<QueryEntry, kFirstQueries> entries;
};

// What is counted, since statistics began or within a sample.
struct HistoryCounters {
  std::uint64_t commits, statements, frames_written, commit_ns, stall_ns, checkpoints,
      checkpoint_ns, checkpoint_frames, checkpoints_in_vain, cache_hits, cache_misses,
      slow_statements, transactions_upgraded, upgrades_failed;
};

struct HistoryGauge {
  std::uint64_t sum;
  std::uint64_t extreme;  // the largest; of health_score the smallest
  std::uint64_t last;
};

struct HistoryHead {
  std::int64_t at_ms;       // Unix time at which its last sample was taken
  std::uint64_t covers_ms;  // since the sample before its first one
  std::uint64_t last_id;    // of its last sample
  std::uint32_t resolution_ms;
  std::uint32_t samples;
  HistoryCounters counters;
  std::array<HistoryGauge, 6> gauges;  // in the order of HistoryGauges in history_sample.h
  std::array<std::uint32_t, 6> known;  // samples that knew the gauge
};

// One sample, or several that were made one.
struct HistorySums {
  HistoryHead head;
  std::array<std::uint64_t, HistoryScale::kBuckets> commits, queries;
};

// The same as it is kept. A histogram's buckets were halved that often, so that they fit.
struct HistoryRecord {
  HistoryHead head;
  std::uint32_t commits_halved, queries_halved;
  std::array<std::uint16_t, HistoryScale::kBuckets> commits, queries;
};
static_assert(sizeof(HistoryRecord) == 688);

struct HistorySlot {
  Counter id;  // 0: empty or being written
  HistoryRecord record;
};

// All that had been counted when the last sample was taken.
struct HistoryBaseline {
  std::uint64_t known;  // 1; else no sample was taken yet
  std::int64_t at_ms;
  std::uint64_t monotonic_ns;  // CLOCK_MONOTONIC; the largest number: of another boot
  HistoryCounters counters;
  std::array<std::uint64_t, HistoryScale::kBuckets> commits, queries;
};

// The state that changes with every sample, at once. Arrays of three have an entry for each ring.
struct HistoryState {
  std::array<std::uint64_t, 3> last_ids;       // the last ones given out
  std::array<std::uint64_t, 3> forgotten_ids;  // samples up to these were reset
  HistoryBaseline baseline;
  HistorySums minute, hour;  // that are not over yet
};
static_assert(sizeof(HistoryState) % 8 == 0);

struct History {
  Counter generation;  // its lowest bit names the state in force
  std::array<HistoryState, 2> states;
};

struct AlertRecord {
  std::uint64_t status;    // AlertStatus
  std::int64_t raised_ms;  // Unix time
  double value;            // NaN: unknown, here and below
  double threshold;
  char check_name[48];
  char detail[320];
};
static_assert(sizeof(AlertRecord) == 400);

struct AlertSlot {
  Counter id;          // 0: empty or being written
  Counter cleared_ms;  // Unix time; 0: not cleared. Written after the record, by the evaluator
  AlertRecord record;
};

// What the evaluator of alerts remembers of a check from one evaluation to the next.
struct WatchedCheck {
  // What is in force, in one word: the alert's id << 3 | 4 where lower values are worse |
  // CheckStatus; 0: nothing.
  Counter in_force;
  // Readings in a row, by severity: first warning, then critical.
  std::array<Counter, 2> bad;   // at least so severe
  std::array<Counter, 2> good;  // less severe
  Counter missing;              // evaluations in a row without this check
  char name[48];                // empty: free
};
static_assert(sizeof(WatchedCheck) == 96);

struct AlertLog {
  Counter next_id;       // the last id given out
  Counter forgotten_id;  // alerts up to this one were reset
  std::array<WatchedCheck, kWatchedChecks> watched;
  std::array<AlertSlot, kFirstAlerts> slots;
};

// Results of the last checks and backups of the database, and of PRAGMAs that programs set.
struct Evidence {
  // The times are written last: 0, unknown.
  Counter integrity_ms;    // Unix time at its end, of the last wal_integrity_check()
  Counter integrity_full;  // 1: 'full', 0: 'quick'
  Counter integrity_findings;
  Counter integrity_ns;       // how long it took
  char integrity_first[256];  // the first finding
  Counter backup_ms;          // Unix time at its end, of the last wal_backup()
  Counter backup_bytes;
  char backup_path[256];
  Counter storage_ms;  // Unix time, when the next two were asked for
  Counter page_count, freelist_pages;
  // The values that a program last set with PRAGMA page_size and auto_vacuum, + 1; 0: none was set.
  Counter page_size_wished, auto_vacuum_wished;
  Counter auto_vacuum;  // as a connection last found it, + 1; 0: no connection has looked
};

// The first part, and then the rest of each array, as a process sees them. Which sections exist,
// ControlSpace knows: the others read as zeros and must not be written.
struct ControlFile {
  Header header;
  SectionTable sections;
  alignas(64) std::array<SettingsBlock, 2> settings;
  alignas(64) std::array<RuleCounters, kBuiltinRules> builtin_rules;
  std::array<RuleCounters, kRules> rules;
  alignas(64) EngineState engine;
  alignas(64) CheckpointCounters checkpoints;
  alignas(64) CheckpointRing ring;
  alignas(64) QueryTable queries;
  alignas(64) History history;
  alignas(64) AlertLog alerts;
  alignas(64) Evidence evidence;
  // Shared by all connections that found no slab of their own.
  ConnectionSlab shared_slab;
  std::array<ConnectionSlab, kFirstConnections> slabs;

  alignas(kBlockBytes) std::array<MoreSettings, 2> more_settings;
  alignas(kBlockBytes)
      std::array<CheckpointSlot, kCheckpointRecords - kFirstCheckpointRecords> more_checkpoints;
  alignas(kBlockBytes) std::array<ConnectionSlab, kNearConnections - kFirstConnections> more_slabs;
  alignas(kBlockBytes) std::array<HotQueries, kNearConnections> hot;
  alignas(kBlockBytes) std::array<QueryEntry, kQueries - kFirstQueries> more_queries;
  alignas(kBlockBytes) std::array<HistorySlot, kHistorySamples> samples;
  alignas(kBlockBytes) std::array<HistorySlot, kHistoryMinutes> minutes;
  alignas(kBlockBytes) std::array<HistorySlot, kHistoryHours> hours;
  alignas(kBlockBytes) std::array<AlertSlot, kAlerts - kFirstAlerts> more_alerts;

  CheckpointSlot& checkpoint(std::size_t i) { return At(ring.slots, more_checkpoints, i); }
  QueryEntry& query(std::size_t i) { return At(queries.entries, more_queries, i); }
  AlertSlot& alert(std::size_t i) { return At(alerts.slots, more_alerts, i); }
  // `copy`: of the two.
  SettingEntry& setting(std::size_t copy, std::size_t i) {
    return At(settings[copy].settings, more_settings[copy].settings, i);
  }
  RuleEntry& rule(std::size_t copy, std::size_t i) {
    return At(settings[copy].rules, more_settings[copy].rules, i);
  }

 private:
  template <typename First, typename More>
  static typename First::value_type& At(First& first, More& more, std::size_t i) {
    return i < first.size() ? first[i] : more[i - first.size()];
  }
};

// Connections after the first kNearConnections, which few databases have: a mapping of its own.
// Their sections are longer, and each array begins where one may begin.
inline constexpr std::size_t kManyBlocks = 16;
struct ManyConnections {
  alignas(
      kManyBlocks* kBlockBytes) std::array<ConnectionSlab, kConnections - kNearConnections> slabs;
  alignas(kManyBlocks* kBlockBytes) std::array<HotQueries, kConnections - kNearConnections> hot;
};

static_assert(offsetof(ControlFile, more_settings) == kFirstBytes,
              "another layout needs another kLayoutNumber");
#ifndef WALMANAGER_SMALL_LAYOUT
static_assert(offsetof(ControlFile, slabs) + sizeof(ControlFile::slabs) == 189'824,
              "another layout needs another kLayoutNumber");
#endif

// The POSIX locks by which processes show themselves, as byte offsets beyond the end of the file.
// Those for making and attaching are the same in every layout.
inline constexpr std::int64_t kLockBase = std::int64_t{1} << 40;
inline constexpr std::int64_t kLockMake = kLockBase;          // exclusive: making the file
inline constexpr std::int64_t kLockAttached = kLockBase + 1;  // shared: mapped by this process
inline constexpr std::int64_t kLockSettings = kLockBase + 2;  // exclusive: changing settings
inline constexpr std::int64_t kLockLease = kLockBase + 3;     // exclusive: copies in the background
inline constexpr std::int64_t kLockSampler = kLockBase + 4;   // exclusive: takes samples
inline constexpr std::int64_t kLockGrow = kLockBase + 5;      // exclusive: appends a section
inline constexpr std::int64_t kLockSlab = kLockBase + 16;     // + i, exclusive: owns slab i

}  // namespace walmanager::layout
