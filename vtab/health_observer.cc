// Reads system_health for alerts, without a connection of the program.
#include "ext/connection/observed_database.h"
#include "ext/database/health_watch.h"
#include "vtab/module/module.h"
#include "vtab/module/query_room.h"

namespace walmanager {
namespace {

CheckStatus StatusOf(const Value& name) {
  const std::string* text = name.text();
  if (text && *text == "ok") return CheckStatus::kOk;
  if (text && *text == "warning") return CheckStatus::kWarning;
  if (text && *text == "critical") return CheckStatus::kCritical;
  return CheckStatus::kUnknown;
}

std::optional<double> Number(const Value& value) {
  if (value.real()) return *value.real();
  if (value.integer()) return static_cast<double>(*value.integer());
  return std::nullopt;
}

std::string Words(const Value& value) { return value.text() ? *value.text() : ""; }

class Observer final : public HealthObserver {
 public:
  Observer() : room_(source_) {}

  Result<std::vector<Check>> Read(Database& database) override {
    source_.Observe(database);
    constexpr char kSql[] =
        "SELECT check_name, status, value, warning_at, critical_at, score, detail "
        "FROM system_health";
    const auto rows = room_.Run(kSql, 7);
    if (!rows.ok()) return rows.error();
    if (source_.is_over()) return Error{"the database is being closed"};
    std::vector<Check> checks;
    for (const auto& row : rows.value()) {
      Check& check = checks.emplace_back();
      check.name = Words(row[0]);
      check.status = StatusOf(row[1]);
      check.value = Number(row[2]);
      check.warning_at = Number(row[3]);
      check.critical_at = Number(row[4]);
      if (row[5].integer()) check.score = *row[5].integer();
      check.detail = Words(row[6]);
    }
    return checks;
  }

 private:
  ObservedDatabase source_;
  QueryRoom room_;
};

}  // namespace

std::unique_ptr<HealthObserver> MakeHealthObserver() { return std::make_unique<Observer>(); }

}  // namespace walmanager
