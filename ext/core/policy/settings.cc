#include "ext/core/policy/settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <string_view>

#include "ext/core/base/ascii_case.h"
#include "ext/core/base/real_text.h"

namespace walmanager {
namespace {

constexpr std::int64_t kMiB = 1024 * 1024;

// In the order of ReplicatorWish.
constexpr const char* kReplicatorChoices[] = {"auto", "always", "never"};

constexpr std::array<SettingSpec, kNamedSettingCount> kNamedSpecs = {{
    {"wal_limit_bytes", SettingKind::kInteger, 64 * kMiB, 64 * 1024, kMiB* kMiB, "bytes",
     "The size that the write-ahead log should not exceed."},
    {"checkpoint_frames", SettingKind::kInteger, 1000, 1, 100'000'000, "frames",
     "Number of pending frames at which a checkpoint is due, if wal_limit_bytes does not make it "
     "due earlier. At the default of 1000 a background checkpoint may be due later, as "
     "wal_metrics.due_frames says. Follows PRAGMA wal_autocheckpoint=N until it is set here. The "
     "columns of the "
     "same name are another number: how many frames checkpoints have copied."},
    {"checkpoint_interval_ms", SettingKind::kInteger, 60'000, 100, 86'400'000, "ms",
     "Time after the last checkpoint at which the next one is due, if any frames are pending."},
    {"stall_budget_ms", SettingKind::kInteger, 300, 0, 10'000, "ms",
     "The longest time that one commit waits for readers to leave the log, so that the log keeps "
     "its limit. A built-in rule has a budget of 10 or 300; the smaller of the two counts. At 0 "
     "no commit waits for readers, and the log grows past wal_limit_bytes as long as readers "
     "overlap. Rules of your own have a budget of their own."},
    {"backpressure", SettingKind::kSwitch, 0, 0, 1, "",
     "Commits wait as the log grows past its limit, so that the disk does not fill: 1 ms each at "
     "10 % beyond the limit, 100 ms each at twice the limit."},
    {"slow_query_ms", SettingKind::kInteger, 100, 0, 3'600'000, "ms",
     "A statement that takes this long or longer counts as slow."},
    {"statement_metrics", SettingKind::kSwitch, 1, 0, 1, "",
     "Statements are measured, as query_performance and connection_metrics show them."},
    {"sample_interval_ms", SettingKind::kInteger, 1000, 10, 3'600'000, "ms",
     "Time between two samples for wal_history, and between two looks at what changes without a "
     "commit: settings, the control file, rules that depend on time."},
    {"max_queries", SettingKind::kInteger, 1000, 10, 1024, "",
     "The most statements that query_performance keeps apart; the one that was not seen for the "
     "longest time makes room for a new one."},
    {"auto_optimize", SettingKind::kSwitch, 0, 0, 1, "",
     "After ten seconds without a commit, and at most once an hour, walmanager runs PRAGMA "
     "optimize on a connection of its own. While it writes, other connections find the database "
     "locked for a moment. If another connection writes, it does the rest later."},
    {"read_pool_size", SettingKind::kInteger, 20, 0, 256, "",
     "The most connections that read_pool() opens in a process; with 0 its statements run on the "
     "caller's connection, one after the other."},
    {"read_pool_timeout_ms", SettingKind::kInteger, 30'000, 1, 3'600'000, "ms",
     "The longest time that a call of read_pool() takes, including the time that its caller "
     "takes to fetch rows. On the caller's own connection it is checked between two rows only."},
    {"alert_interval_ms", SettingKind::kInteger, 5000, 50, 3'600'000, "ms",
     "Time between two evaluations of system_health for wal_alerts."},
    {"alert_samples", SettingKind::kInteger, 3, 1, 100, "",
     "Number of evaluations in a row that must find a check worse before an alert is raised."},
    {"replicator", SettingKind::kChoice, 0, 0, std::size(kReplicatorChoices) - 1, "",
     "Which program checkpoints a database with Litestream's table _litestream_seq: auto "
     "(Litestream, and walmanager while Litestream is gone, as wal_environment says), always "
     "(Litestream) or never (the table is ignored).",
     kReplicatorChoices},
    {"reader_lease_ms", SettingKind::kInteger, 0, 0, 86'400'000, "ms",
     "While the log is beyond wal_limit_bytes, a query whose snapshot is older than this is "
     "interrupted by its own process (SQLITE_INTERRUPT); a transaction around it stays open. 0 "
     "means never. It takes queries that began after it was set, have returned no row yet, run "
     "alone on their connection and only read its main database. It leaves read_pool() alone, and "
     "connections without a mutex (SQLITE_OPEN_NOMUTEX, as in the sqlite3 shell), with another "
     "trace, with a single-threaded SQLite or with statement_metrics off."},
    {"lock_metrics", SettingKind::kSwitch, 1, 0, 1, "",
     "Waits for SQLite's locks and what is read, written and synced are measured, as "
     "wal_lock_waits, connection_metrics and wal_io show them, on connections whose main database "
     "this is. It takes effect at the next statement of each."},
    {"lock_wait_ms", SettingKind::kInteger, 100, 0, 3'600'000, "ms",
     "A wait for a lock that takes this long or longer has a row in wal_lock_waits; so has every "
     "wait that ended in an error."},
    {"allow_cancel", SettingKind::kSwitch, 1, 0, 1, "",
     "wal_cancel() may interrupt statements of this database's connections."},
}};

constexpr SettingSpec SpecOf(const ThresholdSetting& setting) {
  const HealthThreshold& threshold = *setting.threshold;
  return {setting.name.text,
          SettingKind::kReal,
          std::bit_cast<std::int64_t>(setting.default_value),
          std::bit_cast<std::int64_t>(threshold.minimum),
          std::bit_cast<std::int64_t>(threshold.maximum),
          threshold.unit,
          setting.description.text};
}

constexpr std::array<SettingSpec, kSettingCount> AllSpecs() {
  std::array<SettingSpec, kSettingCount> all{};
  std::copy(kNamedSpecs.begin(), kNamedSpecs.end(), all.begin());
  std::transform(kThresholdSettings.begin(), kThresholdSettings.end(),
                 all.begin() + kNamedSpecs.size(), SpecOf);
  return all;
}

constexpr std::array<SettingSpec, kSettingCount> kSpecs = AllSpecs();

// The number that a TEXT is from its first to its last byte, else the value as it is.
Value AsNumber(const Value& value) {
  if (!value.text()) return value;
  const char* const begin = value.text()->data();
  const char* const end = begin + value.text()->size();
  std::int64_t integer = 0;
  const auto whole = std::from_chars(begin, end, integer);
  if (whole.ec == std::errc() && whole.ptr == end) return integer;
  const auto real = ParseReal(*value.text());
  return real && std::isfinite(*real) ? Value(*real) : value;
}

std::optional<std::int64_t> GivenNumber(const SettingSpec& spec, const Value& given) {
  const Value value = AsNumber(given);
  std::optional<double> real;
  if (value.real()) real = *value.real();
  if (spec.kind == SettingKind::kReal) {
    if (value.integer()) real = static_cast<double>(*value.integer());
    // Zero has one sign.
    return real ? std::optional(std::bit_cast<std::int64_t>(*real + 0.0)) : std::nullopt;
  }
  if (value.integer()) return *value.integer();
  const bool whole = real && std::floor(*real) == *real && std::abs(*real) < 9e15;
  return whole ? std::optional(static_cast<std::int64_t>(*real)) : std::nullopt;
}

std::optional<std::int64_t> GivenChoice(const SettingSpec& spec, const Value& value) {
  if (!value.text()) return std::nullopt;
  const auto found = std::find_if(spec.choices.begin(), spec.choices.end(), [&](const char* word) {
    return EqualIgnoringCase(word, *value.text());
  });
  return found == spec.choices.end() ? std::nullopt
                                     : std::optional<std::int64_t>(found - spec.choices.begin());
}

std::optional<std::int64_t> GivenSwitch(const Value& value) {
  const std::string text = value.text() ? *value.text() : "";
  if (EqualIgnoringCase(text, "on") || text == "1") return 1;
  if (EqualIgnoringCase(text, "off") || text == "0") return 0;
  if (value.integer() && (*value.integer() == 0 || *value.integer() == 1)) return *value.integer();
  return std::nullopt;
}

}  // namespace

std::span<const SettingSpec> SettingSpecs() { return kSpecs; }

std::span<const SettingSpec> NamedSettingSpecs() {
  return SettingSpecs().first(kNamedSettingCount);
}

std::optional<std::size_t> FindSetting(std::string_view name) {
  for (std::size_t i = 0; i < kSpecs.size(); ++i) {
    if (EqualIgnoringCase(name, kSpecs[i].name)) return i;
  }
  return std::nullopt;
}

std::int64_t DefaultOf(Setting setting) {
  return kSpecs[static_cast<std::size_t>(setting)].default_value;
}

std::string AllowedValues(const SettingSpec& spec) {
  if (spec.kind == SettingKind::kSwitch) return "'on' or 'off'";
  if (spec.kind == SettingKind::kChoice) {
    std::string all;
    for (std::size_t i = 0; i < spec.choices.size(); ++i) {
      all += (i == 0                        ? "'"
              : i + 1 < spec.choices.size() ? ", '"
                                            : " or '") +
             std::string(spec.choices[i]) + "'";
    }
    return all;
  }
  if (spec.kind == SettingKind::kReal) {
    return "a number from " + RealWithoutExponent(std::bit_cast<double>(spec.minimum)) + " to " +
           RealWithoutExponent(std::bit_cast<double>(spec.maximum));
  }
  return "an integer from " + std::to_string(spec.minimum) + " to " + std::to_string(spec.maximum);
}

bool IsInRange(const SettingSpec& spec, std::int64_t value) {
  if (spec.kind != SettingKind::kReal) return value >= spec.minimum && value <= spec.maximum;
  const auto real = std::bit_cast<double>(value);
  // False for a NaN.
  return real >= std::bit_cast<double>(spec.minimum) && real <= std::bit_cast<double>(spec.maximum);
}

Value ShownSetting(const SettingSpec& spec, std::int64_t value) {
  switch (spec.kind) {
    case SettingKind::kSwitch:
      return value != 0 ? "on" : "off";
    case SettingKind::kReal:
      return std::bit_cast<double>(value);
    case SettingKind::kChoice:
      return spec
          .choices[static_cast<std::size_t>(IsInRange(spec, value) ? value : spec.default_value)];
    default:
      return value;
  }
}

std::optional<std::int64_t> GivenSetting(const SettingSpec& spec, const Value& value) {
  const auto given = spec.kind == SettingKind::kSwitch   ? GivenSwitch(value)
                     : spec.kind == SettingKind::kChoice ? GivenChoice(spec, value)
                                                         : GivenNumber(spec, value);
  return given && IsInRange(spec, *given) ? given : std::nullopt;
}

SettingValues::SettingValues() {
  for (std::size_t i = 0; i < kSpecs.size(); ++i) values_[i] = kSpecs[i].default_value;
}

void SettingValues::Set(std::size_t index, std::int64_t value) {
  if (index >= kSpecs.size()) return;
  if (IsInRange(kSpecs[index], value)) values_[index] = value;
}

}  // namespace walmanager
