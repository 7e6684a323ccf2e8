// The requests of one connection for the query plans of its statements, until they are handed over
// (PlanHandOver) or met in a call of the user's.
//
// A statement asks once for each state of what is known of the schema, when it has run: an
// execution without a request costs a comparison.
// Thread rules: in the thread that uses the connection.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "ext/checkpoint/plan_wish.h"
#include "ext/checkpoint/planned_schema.h"
#include "ext/connection/known_statement.h"
#include "ext/core/control/query_statistics.h"

namespace walmanager {

class PlanWishes {
 public:
  // `planned`: of the main database, for whose statements plans are wanted.
  void Bind(std::shared_ptr<PlannedSchema> planned) { planned_ = std::move(planned); }
  bool any() const { return !wishes_.empty(); }
  // Each request is returned once.
  std::vector<PlanWish> Take() {
    bytes_ = 0;
    return std::exchange(wishes_, {});
  }
  void PutBack(std::vector<PlanWish> wishes);
  // An execution of the statement, which has a place in `statistics`, has ended. Requests its plan
  // where it has none of the schema as it is known.
  void Ended(KnownStatement& known, const Execution& execution, const QueryStatistics& statistics) {
    if (execution.looked && execution.looked->reprepares != 0) known.plan_epoch = 0;
    if (known.plan_epoch != planned_->epoch()) [[unlikely]]
      AskFor(known, execution, statistics);
  }
  // Whether the statement reads or writes, and has asked as the schema is known now.
  bool HasAsked(const KnownStatement& known) const {
    return known.plan_epoch == planned_->epoch() && !known.uses_extension &&
           (known.nature.query_kind == QueryKind::kRead ||
            known.nature.query_kind == QueryKind::kWrite);
  }

  // Whether a transaction that has changed the schema may be open.
  bool changes_schema() const { return changes_schema_; }
  // A statement of this kind has ended. `in_autocommit`: no transaction is open now.
  void FollowSchema(QueryKind kind, bool in_autocommit);

 private:
  [[gnu::cold]] void AskFor(KnownStatement& known, const Execution& execution,
                            const QueryStatistics& statistics);
  // The plan may be there already, which is checked where it is made. False where too many requests
  // wait.
  bool Add(const KnownStatement& known);

  std::vector<PlanWish> wishes_;
  std::size_t bytes_ = 0;  // of their texts, about
  std::shared_ptr<PlannedSchema> planned_;
  bool changes_schema_ = false;
};

}  // namespace walmanager
