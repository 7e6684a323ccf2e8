// wal_configure: sets connection and database to a profile, completely or not at all.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "ext/connection/connection.h"
#include "ext/core/base/ascii_case.h"
#include "ext/core/base/json_reader.h"
#include "ext/core/base/json_writer.h"
#include "ext/engine/page_costs.h"
#include "sql/function.h"

namespace walmanager {
namespace {

enum class Kind { kSchemaPragma, kConnectionPragma, kSetting, kStrategy };

// One thing that a profile sets.
struct Target {
  const char* name;
  Kind kind;
  // The allowed words, separated by spaces. If the PRAGMA returns a number, it is the position of
  // the word. nullptr: the value is an integer.
  const char* words;
  bool may_be_less;  // SQLite may reduce it to what its build allows
  // The range in which SQLite takes an integer PRAGMA without changing it.
  std::int64_t minimum = 0;
  std::int64_t maximum = 0;
};

constexpr char kMmapSize[] = "mmap_size";

// In the order in which they are applied. What SQLite is most likely to refuse comes first.
constexpr std::size_t kTargets = 11;
constexpr std::array<Target, kTargets> kTargetList = {{
    {"journal_mode", Kind::kSchemaPragma, "wal", false},
    {"synchronous", Kind::kSchemaPragma, "off normal full extra", false},
    {"cache_size", Kind::kSchemaPragma, nullptr, false, -2147483647, 2147483647},
    {kMmapSize, Kind::kSchemaPragma, nullptr, true, 0, std::int64_t{1} << 46},
    {"temp_store", Kind::kConnectionPragma, "default file memory", false},
    {"foreign_keys", Kind::kConnectionPragma, "off on", false},
    {"journal_size_limit", Kind::kSchemaPragma, nullptr, false, -1, std::int64_t{1} << 46},
    {"busy_timeout", Kind::kConnectionPragma, nullptr, false, 0, 2147483647},
    {"wal_limit_bytes", Kind::kSetting, nullptr, false},
    {"checkpoint_frames", Kind::kSetting, nullptr, false},
    {"strategy", Kind::kStrategy, nullptr, false},
}};

struct Profile {
  const char* name;
  std::array<const char*, kTargets> values;  // as kTargetList; cache_size: negative is KiB
};

// A profile is a line. Its mmap_size is set where a mapped page costs no more than one that is
// read; page_costs.h says what each costs.
// clang-format off
constexpr std::array<Profile, 6> kProfiles = {{
    // A chat history: many small commits, recent rows read again and again, large tables behind them.
    {"conversation", {"wal", "normal", "-65536", "536870912", "memory", "on", "67108864", "5000", "67108864", "1000", "conversation_workload"}},
    // Many connections: a small cache each; a log long enough that readers rarely keep it from
    // starting over; a long busy timeout.
    {"high_concurrency", {"wal", "normal", "-16384", "1073741824", "memory", "on", "134217728", "10000", "134217728", "4000", "high_concurrency"}},
    // Even times for commits: checkpoints seldom end in one, the hot pages are in memory, and "database
    // is locked" comes early instead of a long wait.
    {"low_latency", {"wal", "normal", "-131072", "1073741824", "memory", "on", "67108864", "1000", "67108864", "1000", "low_latency"}},
    // A commit survives power loss: synchronous FULL; no mmap, through which a stray pointer of the
    // host could write into the database.
    {"durable", {"wal", "full", "-32768", "0", "default", "on", "67108864", "10000", "67108864", "1000", "conversation_workload"}},
    // Little memory and disk: SQLite's own small cache, temporary tables on disk, a log of 16 MiB. A
    // log of 4 MiB made a lone writer slower than SQLite, since the pages are copied more often.
    {"embedded", {"wal", "normal", "-2048", "0", "file", "on", "16777216", "5000", "16777216", "1000", "conversation_workload"}},
    // Many short requests, mostly reads: SQLite's own small cache for each worker, since a commit of
    // another one empties it, and a large one takes new memory each time; mmap for the shared pages.
    {"web", {"wal", "normal", "-2000", "268435456", "memory", "on", "67108864", "5000", "67108864", "1000", "conversation_workload"}},
}};
// clang-format on

std::vector<std::string> Words(const char* text) {
  std::vector<std::string> words;
  for (const char* c = text; c && *c; ++c) {
    if (c == text || *c == ' ') words.emplace_back();
    if (*c != ' ') words.back() += *c;
  }
  return words;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) (text += text.empty() ? "" : ", ") += word;
  return text;
}

const Profile* FindProfile(std::string_view name) {
  const auto found = std::find_if(kProfiles.begin(), kProfiles.end(), [&](const Profile& profile) {
    return EqualIgnoringCase(name, profile.name);
  });
  return found == kProfiles.end() ? nullptr : &*found;
}

std::optional<std::size_t> FindTarget(std::string_view name) {
  for (std::size_t i = 0; i < kTargets; ++i) {
    if (EqualIgnoringCase(name, kTargetList[i].name)) return i;
  }
  return std::nullopt;
}

// The work of one call: reads, sets and puts back the targets of one schema.
class Configuration {
 public:
  Configuration(Connection& connection, Schema schema)
      : connection_(connection),
        schema_(std::move(schema)),
        before_(schema_.database->settings()) {}

  Result<std::string> Read(const Target& target) {
    if (target.kind == Kind::kSetting) {
      const auto values = schema_.database->settings().Values();
      return std::to_string(values.at(*FindSetting(target.name)));
    }
    if (target.kind == Kind::kStrategy) return schema_.database->settings().strategy;
    const auto said = connection_.Query(Pragma(target));
    if (!said.ok()) return said.error();
    // A build of SQLite without mmap returns no row.
    if (!said.value()) return target.may_be_less ? Result<std::string>("0") : Error{"no answer"};
    const auto words = Words(target.words);
    const std::string& text = *said.value();
    const bool is_number =
        !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    if (words.empty() || !is_number) return text;
    const std::size_t place = std::stoul(text);
    return place < words.size() ? words[place] : text;
  }

  // Sets the target and returns the value in force. It is read again, because a PRAGMA that fails
  // often reports nothing.
  Result<std::string> Apply(const Target& target, const std::string& value) {
    Status status = Set(target, value);
    if (!status.ok()) return status.error();
    auto now = Read(target);
    if (!now.ok() || now.value() == value) return now;
    if (target.may_be_less) return now;
    return Error{"SQLite kept '" + now.value() + "'"};
  }

  // Sets the target back to `value`, which it had when this object was made. A setting also gets
  // back the name of the process that had set it.
  Status PutBack(const Target& target, const std::string& value) {
    if (target.kind != Kind::kSetting && target.kind != Kind::kStrategy) {
      const auto now = Apply(target, value);
      return now.ok() ? Status(Ok{}) : Status(now.error());
    }
    return schema_.database->ChangeSettings(true, [&](StoredSettings& stored) -> Status {
      if (target.kind == Kind::kStrategy) {
        stored.strategy = before_.strategy;
        stored.strategy_changed = before_.strategy_changed;
        return Ok{};
      }
      stored.Set(SettingSpecs()[*FindSetting(target.name)], std::nullopt, {});
      if (const StoredSetting* was = before_.Find(target.name)) stored.settings.push_back(*was);
      return Ok{};
    });
  }

  // What a page costs that is read, and one that is mapped. mmap_size is 0.
  Result<PageCosts> MeasurePages() {
    return MeasurePageCosts(connection_.db(), schema_.name.c_str());
  }

  // Whether there are any: a change of temp_store would drop them.
  Result<bool> HasTemporaryTables() {
    const auto count = connection_.Query("SELECT count(*) FROM sqlite_temp_schema");
    if (!count.ok()) return count.error();
    return count.value().value_or("0") != "0";
  }

 private:
  std::string Pragma(const Target& target) const {
    const bool of_schema = target.kind == Kind::kSchemaPragma;
    return "PRAGMA " + (of_schema ? connection_.Quoted(schema_.name) + "." : "") + target.name;
  }

  Status Set(const Target& target, const std::string& value) {
    if (target.kind == Kind::kSetting || target.kind == Kind::kStrategy) {
      return schema_.database->ChangeSettings(true, [&](StoredSettings& stored) -> Status {
        if (target.kind == Kind::kStrategy) return stored.SelectStrategy(value, ThisChange());
        const SettingSpec& spec = SettingSpecs()[*FindSetting(target.name)];
        stored.Set(spec, std::stoll(value), ThisChange());
        return Ok{};
      });
    }
    connection_.CloseOwnConnections();
    const auto done = connection_.Query(Pragma(target) + "=" + value);
    connection_.ForgetSynchronous();
    if (!done.ok()) return done.error();
    return Ok{};
  }

  Connection& connection_;
  const Schema schema_;
  const StoredSettings before_;
};

// The value of an override, as text that may be set; an error names it and what is allowed.
Result<std::string> CheckOverride(const Target& target, const Json& item) {
  const std::string type = item.Type(), text = item.Text();
  const auto wrong = [&](const std::string& allowed) {
    return Error{std::string("wal_configure: override ") + target.name + " " + item.Shown() +
                 " is not " + allowed};
  };
  if (target.kind == Kind::kStrategy)
    return type == "text" ? Result<std::string>(text) : wrong("text");
  if (target.words) {
    std::string word = AsciiLowered(text);
    const auto words = Words(target.words);
    // A switch also takes true and false of JSON.
    if (type == "true" || type == "false") word = type == "true" ? "on" : "off";
    if (std::find(words.begin(), words.end(), word) == words.end())
      return wrong("one of " + Joined(words));
    return word;
  }
  std::int64_t least = target.minimum, most = target.maximum;
  if (target.kind == Kind::kSetting) {
    const SettingSpec& spec = SettingSpecs()[*FindSetting(target.name)];
    least = spec.minimum, most = spec.maximum;
  }
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (type != "integer" || parsed.ec != std::errc() || parsed.ptr != end || value < least ||
      value > most) {
    return wrong("an integer from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return text;
}

struct Wanted {
  std::string value;
  bool overridden = false;
};
using Values = std::array<Wanted, kTargets>;

Status ReadOverrides(const std::string& text, Values& values) {
  const auto json = ParseJson(text);
  const std::string wrong = "wal_configure: overrides_json is not a JSON object of settings";
  if (!json.ok()) return Error{wrong + ": " + json.error().message};
  if (json.value().kind != Json::Kind::kObject) return Error{wrong};
  for (std::size_t i = 0; i < json.value().items.size(); ++i) {
    const std::string& name = json.value().names[i];
    const Json& item = json.value().items[i];
    const auto target = FindTarget(name);
    if (!target) {
      std::string known;
      for (const Target& each : kTargetList) (known += known.empty() ? "" : ", ") += each.name;
      return Error{"wal_configure: override " + ShownText(name) + " is not one of " + known};
    }
    auto value = CheckOverride(kTargetList[*target], item);
    if (!value.ok()) return value.error();
    values[*target] = {std::move(value.value()), true};
  }
  return Ok{};
}

// Adds a value to the report: numbers as numbers, on and off as booleans.
void AddValue(JsonObject& json, const char* name, const Target& target, const std::string& value) {
  if (std::string_view(target.words ? target.words : "") == "off on")
    json.Add(name, value == "on");
  else if (!target.words && target.kind != Kind::kStrategy)
    json.Add(name, std::int64_t{std::stoll(value)});
  else
    json.Add(name, value);
}

// The values of a profile and of the overrides.
Result<Values> WantedValues(const Profile& profile, const Arguments& arguments) {
  Values wanted;
  for (std::size_t i = 0; i < kTargets; ++i) wanted[i].value = profile.values[i];
  if (!arguments.has(1) || arguments.at(1).is_null()) return wanted;
  const auto json = arguments.Text(1, "overrides_json");
  if (!json.ok()) return json.error();
  if (Status status = ReadOverrides(json.value(), wanted); !status.ok()) return status.error();
  return wanted;
}

// An error if the schema cannot be configured now, or the strategy is unknown.
Status CheckPlace(const Connection& connection, const Schema& schema, const Values& wanted) {
  if (!connection.in_autocommit()) {
    return Error{"wal_configure: a transaction is open on this connection: end it first"};
  }
  if (schema.read_only) {
    return Error{"wal_configure: schema '" + schema.name + "' is read-only on this connection"};
  }
  const std::string& strategy = wanted[kTargets - 1].value;
  const StoredSettings stored = schema.database->settings();
  if (!stored.FindStrategy(strategy)) {
    return Error{"wal_configure: strategy " + ShownText(strategy) + " is not one of " +
                 stored.StrategyNames()};
  }
  return Ok{};
}

// Applies one target after the other. If one fails, all before it are put back.
class AllOrNothing {
 public:
  explicit AllOrNothing(Configuration& configuration) : configuration_(configuration) {}

  // Returns the report: the value of each target before and after.
  Result<JsonObject> Run(const Values& wanted) {
    JsonObject report;
    for (std::size_t i = 0; i < kTargets; ++i) {
      const Target& target = kTargetList[i];
      auto change = ApplyOne(target, wanted[i]);
      if (!change.ok()) return Error{PutBackAll(target, wanted[i].value, change.error())};
      report.Add(target.name, change.value());
    }
    return report;
  }

  // Where Run() has measured it.
  const std::optional<PageCosts>& page_costs() const { return page_costs_; }

 private:
  Result<JsonObject> ApplyOne(const Target& target, const Wanted& wanted) {
    if (target.name == kMmapSize && !wanted.overridden && wanted.value != "0") {
      return ApplyMmapSize(target, wanted.value);
    }
    return ApplyValue(target, wanted.value);
  }

  // Sets it where mapping pays, else to 0.
  Result<JsonObject> ApplyMmapSize(const Target& target, const std::string& wanted) {
    const auto before = configuration_.Read(target);
    if (!before.ok()) return before.error();
    const std::string off = "0";
    auto after = before;
    if (before.value() != off) {
      done_.emplace_back(&target, before.value());
      after = configuration_.Apply(target, off);
      if (!after.ok()) return after.error();
    }
    const auto costs = configuration_.MeasurePages();
    const bool pays = costs.ok() && costs.value().MappingPays();
    if (pays) {
      if (before.value() == off) done_.emplace_back(&target, off);
      after = configuration_.Apply(target, wanted);
    }
    if (!after.ok()) return after.error();
    JsonObject change;
    AddValue(change, "before", target, before.value());
    AddValue(change, "after", target, after.value());
    if (!costs.ok()) {
      change.Add("because", "what a mapped page costs was not measured: " + costs.error().message);
      return change;
    }
    page_costs_ = costs.value();
    change.Add("read_page_us", Hundredths(page_costs_->read_us))
        .Add("mapped_page_us", Hundredths(page_costs_->mapped_us))
        .Add("because", pays ? "a mapped page costs no more than one that is read"
                             : "a mapped page costs more than one that is read");
    return change;
  }

  static double Hundredths(double number) { return std::round(number * 100) / 100; }

  Result<JsonObject> ApplyValue(const Target& target, const std::string& wanted) {
    const auto before = configuration_.Read(target);
    if (!before.ok()) return before.error();
    auto after = before;
    bool skipped = false;
    if (before.value() != wanted) {
      const auto temporary = configuration_.HasTemporaryTables();
      skipped =
          std::string_view(target.name) == "temp_store" && temporary.ok() && temporary.value();
      if (!skipped) {
        done_.emplace_back(&target, before.value());
        after = configuration_.Apply(target, wanted);
      }
    }
    if (!after.ok()) return after.error();
    JsonObject change;
    AddValue(change, "before", target, before.value());
    AddValue(change, "after", target, after.value());
    if (skipped) change.Add("skipped", "this connection has temporary tables, which it would lose");
    return change;
  }

  // Puts all targets back. Returns the message, which names the targets that could not be.
  std::string PutBackAll(const Target& failed, const std::string& wanted, const Error& error) {
    std::string message = std::string("wal_configure: ") + failed.name + " '" + wanted +
                          "' could not be set: " + error.message;
    for (auto undo = done_.rbegin(); undo != done_.rend(); ++undo) {
      if (Status restored = configuration_.PutBack(*undo->first, undo->second); !restored.ok()) {
        message += std::string("; ") + undo->first->name + " '" + undo->second +
                   "' could not be put back: " + restored.error().message;
      }
    }
    return message;
  }

  Configuration& configuration_;
  std::vector<std::pair<const Target*, std::string>> done_;  // with the value before
  std::optional<PageCosts> page_costs_;
};

// For wal_config and wal_recommendations.
void Remember(const Database& database, const PageCosts& costs) {
  const auto control = database.control();
  Learned learned = control->region().learned();
  learned.PagesMeasured(costs.read_us, costs.mapped_us);
  control->region().SetLearned(learned);
}

}  // namespace

Result<Value> WalConfigure(Connection& connection, const Arguments& arguments) {
  const auto name = arguments.Text(0, "profile");
  const Profile* profile = name.ok() ? FindProfile(name.value()) : nullptr;
  if (!profile) {
    std::string known;
    for (const Profile& each : kProfiles) (known += known.empty() ? "" : ", ") += each.name;
    return arguments.Wrong(0, "profile", "one of " + known);
  }
  auto wanted = WantedValues(*profile, arguments);
  if (!wanted.ok()) return wanted.error();
  auto schema = connection.DatabaseToChange(arguments.function(), arguments.SchemaName(2));
  if (!schema.ok()) return schema.error();
  if (Status status = CheckPlace(connection, schema.value(), wanted.value()); !status.ok()) {
    return status.error();
  }
  std::string& strategy = wanted.value()[kTargets - 1].value;
  strategy = schema.value().database->settings().FindStrategy(strategy).value_or(strategy);
  Configuration configuration(connection, schema.value());
  AllOrNothing all(configuration);
  const auto report = all.Run(wanted.value());
  if (!report.ok()) return report.error();
  if (all.page_costs()) Remember(*schema.value().database, *all.page_costs());
  JsonObject json;
  json.Add("profile", profile->name).Add("settings", report.value());
  return Value(json.text());
}

}  // namespace walmanager
