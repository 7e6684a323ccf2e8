#include "ext/connection/plan_wishes.h"

#include <cstring>
#include <string>

#include "ext/engine/sqlite.h"

namespace walmanager {
namespace {

constexpr std::size_t kMostWishes = 256;
constexpr std::size_t kMostBytes = std::size_t{256} << 10;
constexpr std::size_t kMostTextBytes = std::size_t{64} << 10;

}  // namespace

void PlanWishes::AskFor(KnownStatement& known, const Execution& execution,
                        const QueryStatistics& statistics) {
  const std::uint32_t epoch = planned_->epoch();
  // What SQLite has prepared again may have another plan, whatever is known of the schema.
  const bool prepared_again = execution.looked && execution.looked->reprepares != 0;
  const bool needs_plan = !planned_->IsCurrent(statistics.PlanSchemaVersion(known.entry));
  if (!(prepared_again || needs_plan) || Add(known)) known.plan_epoch = epoch;
}

bool PlanWishes::Add(const KnownStatement& known) {
  if (known.nature.query_kind != QueryKind::kRead && known.nature.query_kind != QueryKind::kWrite) {
    return true;
  }
  if (known.uses_extension) return true;
  const char* text = known.long_hash != 0 ? sqlite3_sql(known.stmt) : known.sql.c_str();
  const std::size_t bytes = std::strlen(text);
  if (bytes > kMostTextBytes) return true;
  if (wishes_.size() >= kMostWishes || bytes_ >= kMostBytes) return false;
  wishes_.push_back({known.id, std::string(text, bytes)});
  bytes_ += bytes;
  return true;
}

void PlanWishes::PutBack(std::vector<PlanWish> wishes) {
  wishes_ = std::move(wishes);
  bytes_ = 0;
  for (const PlanWish& wish : wishes_) bytes_ += wish.sql.size();
}

void PlanWishes::FollowSchema(QueryKind kind, bool in_autocommit) {
  changes_schema_ = changes_schema_ || kind == QueryKind::kSchema;
  if (!changes_schema_) return;
  planned_->MayHaveChanged();
  if (in_autocommit) changes_schema_ = false;
}

}  // namespace walmanager
