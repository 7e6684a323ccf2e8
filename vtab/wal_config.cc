// wal_config: the settings in force, their defaults, and who changed what when.
#include "ext/core/base/time_text.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  std::string schema;
  std::string name;
  Value value, default_value;
  const char* unit = "";
  std::string description;
  std::optional<StoredSetting> changed;
};

void Append(const Schema& schema, std::vector<Row>& rows) {
  const StoredSettings settings = schema.database->settings();
  const SettingValues values = settings.Values();
  for (std::size_t i = 0; i < SettingSpecs().size(); ++i) {
    const SettingSpec& spec = SettingSpecs()[i];
    const StoredSetting* changed = settings.Find(spec.name);
    rows.push_back({schema.name, spec.name, ShownSetting(spec, values.at(i)),
                    ShownSetting(spec, spec.default_value), spec.unit,
                    std::string(spec.description) + " Allowed: " + AllowedValues(spec) + ".",
                    changed ? std::optional(*changed) : std::nullopt});
  }
  const Learned learned = schema.database->control()->region().learned();
  for (std::size_t i = 0; i < kLearnedCount; ++i) {
    const LearnedSpec& spec = LearnedSpecs()[i];
    rows.push_back({schema.name, std::string("learned.") + spec.name, Value(learned.at(i)), Value(),
                    spec.unit, std::string(spec.description) + " Learned, not set.", std::nullopt});
  }
}

Result<std::vector<Row>> Read(TableSource& source) {
  return RowsOfEachDatabase<Row>(source, Append);
}

}  // namespace

const Table& WalConfigTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_config", "The settings of each database; wal_set() changes them.",
      Read, /*reveals_others=*/true,
      {
          {"name", kText, "what wal_set() calls it; learned.*: what the engine has learned, NULL until then", [](const Row& r) -> Value { return r.name; }},
          {"value", kInteger, "in force", [](const Row& r) -> Value { return r.value; }},
          {"default_value", kInteger, "where nobody changed it", [](const Row& r) -> Value { return r.default_value; }},
          {"unit", kText, "bytes, frames, ms, us or frames/s; NULL for a count or a switch", [](const Row& r) -> Value { return *r.unit ? Value(r.unit) : Value(); }},
          {"description", kText, "what it does, and the values allowed", [](const Row& r) -> Value { return r.description; }},
          {"changed_at", kText, "UTC; NULL at the default", [](const Row& r) -> Value { return r.changed ? Value(UtcText(r.changed->changed_at_ms)) : Value(); }},
          {"changed_by", kText, "the process; NULL at the default", [](const Row& r) -> Value { return r.changed ? Value(r.changed->changed_by) : Value(); }},
          {"schema", kText, "main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
