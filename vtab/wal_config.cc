// wal_config: the settings in force, their defaults, and which process changed them when.
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
    rows.push_back(
        {schema.name, std::string("learned.") + spec.name, Value(learned.at(i)), Value(), spec.unit,
         std::string(spec.description) + " Learned by walmanager; wal_set() cannot change it.",
         std::nullopt});
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
      "wal_config", "The settings of each database, which wal_set() changes, and what the engine has learned.",
      Read, /*reveals_others=*/true,
      {
          {"name", kText, "name of the setting for wal_set(); learned.* are values that the engine has learned and wal_set() cannot change", [](const Row& r) -> Value { return r.name; }},
          {"value", kInteger, "value in force; NULL for a learned value that is not known yet", [](const Row& r) -> Value { return r.value; }},
          {"default_value", kInteger, "value in force as long as the setting is not changed", [](const Row& r) -> Value { return r.default_value; }},
          {"unit", kText, "unit of the value: bytes, frames, ms, us, frames/s or the like; NULL for a count or a switch", [](const Row& r) -> Value { return *r.unit ? Value(r.unit) : Value(); }},
          {"description", kText, "what the setting does, and the values allowed", [](const Row& r) -> Value { return r.description; }},
          {"changed_at", kText, "when the setting was changed, in UTC; NULL at the default", [](const Row& r) -> Value { return r.changed ? Value(UtcText(r.changed->changed_at_ms)) : Value(); }},
          {"changed_by", kText, "process that changed the setting; NULL at the default", [](const Row& r) -> Value { return r.changed ? Value(r.changed->changed_by) : Value(); }},
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
