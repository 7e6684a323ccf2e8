// wal_backup and wal_restore.
#include <charconv>
#include <vector>

#include "ext/backup.h"
#include "ext/connection.h"
#include "ext/core/json_writer.h"
#include "ext/restore.h"
#include "sql/function.h"

namespace walmanager {
namespace {

// An option of wal_backup(): a flag where `most` is 0.
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
    if (name == option.name) return &option;
  }
  return nullptr;
}

// `type` and `text` as json_each has them.
Status SetOption(const Option& option, const std::string& type, const std::string& text,
                 BackupOptions& options) {
  const bool flag = option.most == 0;
  const char* end = text.data() + text.size();
  std::int64_t value = type == "true" ? 1 : 0;
  bool right = type == "true" || type == "false";
  if (!flag) {
    const auto parsed = std::from_chars(text.data(), end, value);
    right = type == "integer" && parsed.ec == std::errc() && parsed.ptr == end &&
            value >= option.least && value <= option.most;
  }
  if (!right) {
    const std::string allowed = flag ? "true or false"
                                     : "an integer from " + std::to_string(option.least) + " to " +
                                           std::to_string(option.most);
    return Error{std::string("option ") + option.name + " " + ShownText(text) + " is not " +
                 allowed};
  }
  option.set(options, value);
  return Ok{};
}

Status ReadOptions(Connection& connection, const std::string& json, BackupOptions& options) {
  const auto type = connection.Rows("SELECT json_type(?1)", json);
  if (!type.ok()) return Error{"options_json: " + type.error().message};
  if (type.value().at(0).at(0).value_or("") != "object") {
    return Error{"options_json is not an object"};
  }
  const auto rows =
      connection.Rows("SELECT key, type, coalesce(atom, value, 'null') FROM json_each(?1)", json);
  if (!rows.ok()) return Error{"options_json: " + rows.error().message};
  for (const auto& row : rows.value()) {
    const Option* option = FindOption(*row[0]);
    if (!option) {
      std::string known;
      for (const Option& each : kOptions) (known += known.empty() ? "" : ", ") += each.name;
      return Error{"option " + ShownText(*row[0]) + " is not one of " + known};
    }
    if (Status status = SetOption(*option, *row[1], *row[2], options); !status.ok()) return status;
  }
  return Ok{};
}

JsonObject Json(const CopyReport& report) {
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
    if (Status status = ReadOptions(connection, json.value(), options); !status.ok()) {
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
      Json(report.value()).Add("wal_growth_bytes", report.value().wal_growth_bytes).text());
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
  return Value(Json(report.value()).text());
}

}  // namespace walmanager
