// The words that are keywords here, the same in every process and with every SQLite: a keyword that
// a later SQLite adds stays an identifier, or the same statement would change its query_id.
//
// These are the 147 of https://www.sqlite.org/lang_keywords.html (3.35 to 3.50), and TRUE and
// FALSE, which SQLite takes for constants where no column has the name. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "ext/core/base/ascii_case.h"

namespace walmanager {

// Before kReserved: words that may also be the name of a table or column. Words that need not be
// told apart are kAnyName and kReserved.
enum class Keyword : std::uint8_t {
  kNone,  // no keyword
  kAnyName,
  kAscDesc,
  kAttach,
  kAnalyze,
  kBegin,
  kBy,
  kColumn,
  kConflict,
  kConflictAction,  // ABORT, FAIL, IGNORE, REPLACE, ROLLBACK (the latter two have their own)
  kCurrentTime,     // CURRENT_DATE, CURRENT_TIME, CURRENT_TIMESTAMP
  kDatabase,
  kDetach,
  kEnd,
  kExclusive,
  kExplain,
  kFilter,
  kFrameUnit,  // GROUPS, RANGE, ROWS
  kIf,
  kImmediate,
  kIndexed,
  kKey,
  kLike,  // LIKE, GLOB, REGEXP, MATCH
  kMaterialized,
  kNulls,
  kOf,
  kOver,
  kPartition,
  kPlan,
  kPragma,
  kQuery,
  kRaise,
  kRecursive,
  kReindex,
  kRelease,
  kRename,
  kReplace,
  kRollback,
  kSavepoint,
  kTrigger,
  kVacuum,
  kView,
  kVirtual,
  kWindow,
  kWith,

  kReserved,
  kAdd,
  kAll,
  kAlter,
  kAs,
  kBoolean,  // TRUE, FALSE
  kCollate,
  kCommit,
  kConstraint,
  kCreate,
  kDefault,
  kDelete,
  kDistinct,
  kDrop,
  kExists,
  kForeign,
  kFrom,
  kGroup,
  kHaving,
  kIn,
  kIndex,
  kInsert,
  kInto,
  kIs,
  kJoin,
  kLimit,
  kNot,
  kNull,
  kNullTest,  // ISNULL, NOTNULL
  kOn,
  kOr,
  kOrder,
  kPrimary,
  kReferences,
  kReturning,
  kSelect,
  kSet,
  kSetOperator,  // EXCEPT, INTERSECT, UNION
  kTable,
  kTo,
  kUnique,
  kUpdate,
  kUsing,
  kValues,
  kWhere,
};

// In any case; kNone where `word` is no keyword.
Keyword FindKeyword(std::string_view word);

// Whether the word is a keyword wherever it stands, unless quoted or after a dot.
constexpr bool IsReserved(Keyword keyword) { return keyword >= Keyword::kReserved; }

}  // namespace walmanager
