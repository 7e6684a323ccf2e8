// wal_backup and wal_restore.
#include "ext/backup/backup.h"
#include "ext/backup/restore.h"
#include "ext/connection/connection.h"
#include "ext/core/base/ascii_case.h"
#include "ext/core/base/json_reader.h"
#include "ext/core/base/json_writer.h"
#include "sql/function.h"

namespace walmanager {
namespace {

// An option of wal_backup(). It is a flag if `most` is 0.
struct Option {
  const char* name;
  std::int64_t least, most;
  void (*set)(BackupOptions&, std::int64_t);
};

// An option is a line.
// clang-format off
constexpr Option kOptions[] = {
    {"overwrite", 0, 0, [](BackupOptions& o, std::int64_t v) { o.overwrite = v != 0; }},
    {"verify", 0, 0, [](BackupOptions& o, std::int64_t v) { o.verify = v != 0; }},
    {"pages_per_step", 1, 1'000'000, [](BackupOptions& o, std::int64_t v) { o.pages_per_step = static_cast<int>(v); }},
    {"pause_ms", 0, 60'000, [](BackupOptions& o, std::int64_t v) { o.pause_ms = v; }},
    {"max_wal_growth_bytes", 0, std::int64_t{1} << 46, [](BackupOptions& o, std::int64_t v) { o.max_wal_growth_bytes = v; }},
};
// clang-format on

const Option* FindOption(const std::string& name) {
  for (const Option& option : kOptions) {
    if (EqualIgnoringCase(name, option.name)) return &option;
  }
  return nullptr;
}

Status SetOption(const Option& option, const Json& json, BackupOptions& options) {
  const bool flag = option.most == 0;
  const std::int64_t* integer = json.value.integer();  // also for true and false
  const bool logical = json.source == "true" || json.source == "false";
  if (!integer || logical != flag ||
      (!flag && (*integer < option.least || *integer > option.most))) {
    const std::string allowed = flag ? "true or false"
                                     : "an integer from " + std::to_string(option.least) + " to " +
                                           std::to_string(option.most);
    return Error{std::string("option ") + option.name + " " + json.Shown() + " is not " + allowed};
  }
  option.set(options, *integer);
  return Ok{};
}

Status ReadOptions(const std::string& text, BackupOptions& options) {
  const auto json = ParseJson(text);
  const std::string wrong = "options_json is not a JSON object of options";
  if (!json.ok()) return Error{wrong + ": " + json.error().message};
  if (json.value().kind != Json::Kind::kObject) return Error{wrong};
  for (std::size_t i = 0; i < json.value().items.size(); ++i) {
    const std::string& name = json.value().names[i];
    const Option* option = FindOption(name);
    if (!option) {
      std::string known;
      for (const Option& each : kOptions) (known += known.empty() ? "" : ", ") += each.name;
      return Error{"option " + ShownText(name) + " is not one of " + known};
    }
    if (Status status = SetOption(*option, json.value().items[i], options); !status.ok()) {
      return status;
    }
  }
  return Ok{};
}

JsonObject ReportOf(const CopyReport& report) {
  JsonObject json;
  json.Add("path", report.path).Add("pages", report.pages).Add("bytes", report.bytes);
  json.Add("duration_ms", static_cast<double>(report.duration_ns) / 1e6);
  json.Add("verified", report.verified);
  return json;
}

}  // namespace

Result<Value> WalBackup(Connection& connection, const Arguments& arguments) {
  const auto path = arguments.Text(0, "path");
  if (!path.ok()) return path.error();
  BackupOptions options;
  if (arguments.has(1) && !arguments.at(1).is_null()) {
    const auto json = arguments.Text(1, "options_json");
    if (!json.ok()) return json.error();
    if (Status status = ReadOptions(json.value(), options); !status.ok()) {
      return arguments.Prefixed(status.error());
    }
  }
  const auto name = arguments.SchemaName(2);
  if (!name.ok()) return name.error();
  const auto schema = connection.FindSchema(arguments.function(), name.value());
  if (!schema.ok()) return schema.error();
  auto report = Backup(connection, schema.value(), path.value(), options);
  if (!report.ok()) return arguments.Prefixed(report.error());
  return Value(
      ReportOf(report.value()).Add("wal_growth_bytes", report.value().wal_growth_bytes).text());
}

Result<Value> WalRestore(Connection& connection, const Arguments& arguments) {
  const auto path = arguments.Text(0, "backup_path");
  if (!path.ok()) return path.error();
  const auto schema = connection.DatabaseToChange(arguments.function(), arguments.SchemaName(1));
  if (!schema.ok()) return schema.error();
  if (schema.value().read_only) {
    return Error{"wal_restore: schema '" + schema.value().name +
                 "' is read-only on this connection"};
  }
  auto report = Restore(connection, schema.value(), path.value());
  if (!report.ok()) return arguments.Prefixed(report.error());
  JsonObject json = ReportOf(report.value());
  const std::string& because = report.value().unverified_because;
  if (!because.empty()) json.Add("unverified_because", because);
  return Value(json.text());
}

}  // namespace walmanager
