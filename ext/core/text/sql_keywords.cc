#include "ext/core/text/sql_keywords.h"

#include <array>
#include <cstddef>

namespace walmanager {
namespace {

struct Entry {
  std::string_view word;
  Keyword keyword;
};

constexpr Entry kEntries[] = {
    {"ABORT", Keyword::kConflictAction},
    {"ACTION", Keyword::kAnyName},
    {"ADD", Keyword::kAdd},
    {"AFTER", Keyword::kAnyName},
    {"ALL", Keyword::kAll},
    {"ALTER", Keyword::kAlter},
    {"ALWAYS", Keyword::kAnyName},
    {"ANALYZE", Keyword::kAnalyze},
    {"AND", Keyword::kReserved},
    {"AS", Keyword::kAs},
    {"ASC", Keyword::kAscDesc},
    {"ATTACH", Keyword::kAttach},
    {"AUTOINCREMENT", Keyword::kReserved},
    {"BEFORE", Keyword::kAnyName},
    {"BEGIN", Keyword::kBegin},
    {"BETWEEN", Keyword::kReserved},
    {"BY", Keyword::kBy},
    {"CASCADE", Keyword::kAnyName},
    {"CASE", Keyword::kReserved},
    {"CAST", Keyword::kAnyName},
    {"CHECK", Keyword::kReserved},
    {"COLLATE", Keyword::kCollate},
    {"COLUMN", Keyword::kColumn},
    {"COMMIT", Keyword::kCommit},
    {"CONFLICT", Keyword::kConflict},
    {"CONSTRAINT", Keyword::kConstraint},
    {"CREATE", Keyword::kCreate},
    {"CROSS", Keyword::kAnyName},
    {"CURRENT", Keyword::kAnyName},
    {"CURRENT_DATE", Keyword::kCurrentTime},
    {"CURRENT_TIME", Keyword::kCurrentTime},
    {"CURRENT_TIMESTAMP", Keyword::kCurrentTime},
    {"DATABASE", Keyword::kDatabase},
    {"DEFAULT", Keyword::kDefault},
    {"DEFERRABLE", Keyword::kReserved},
    {"DEFERRED", Keyword::kAnyName},
    {"DELETE", Keyword::kDelete},
    {"DESC", Keyword::kAscDesc},
    {"DETACH", Keyword::kDetach},
    {"DISTINCT", Keyword::kDistinct},
    {"DO", Keyword::kAnyName},
    {"DROP", Keyword::kDrop},
    {"EACH", Keyword::kAnyName},
    {"ELSE", Keyword::kReserved},
    {"END", Keyword::kEnd},
    {"ESCAPE", Keyword::kReserved},
    {"EXCEPT", Keyword::kSetOperator},
    {"EXCLUDE", Keyword::kAnyName},
    {"EXCLUSIVE", Keyword::kExclusive},
    {"EXISTS", Keyword::kExists},
    {"EXPLAIN", Keyword::kExplain},
    {"FAIL", Keyword::kConflictAction},
    {"FALSE", Keyword::kBoolean},
    {"FILTER", Keyword::kFilter},
    {"FIRST", Keyword::kAnyName},
    {"FOLLOWING", Keyword::kAnyName},
    {"FOR", Keyword::kAnyName},
    {"FOREIGN", Keyword::kForeign},
    {"FROM", Keyword::kFrom},
    {"FULL", Keyword::kAnyName},
    {"GENERATED", Keyword::kAnyName},
    {"GLOB", Keyword::kLike},
    {"GROUP", Keyword::kGroup},
    {"GROUPS", Keyword::kFrameUnit},
    {"HAVING", Keyword::kHaving},
    {"IF", Keyword::kIf},
    {"IGNORE", Keyword::kConflictAction},
    {"IMMEDIATE", Keyword::kImmediate},
    {"IN", Keyword::kIn},
    {"INDEX", Keyword::kIndex},
    {"INDEXED", Keyword::kIndexed},
    {"INITIALLY", Keyword::kAnyName},
    {"INNER", Keyword::kAnyName},
    {"INSERT", Keyword::kInsert},
    {"INSTEAD", Keyword::kAnyName},
    {"INTERSECT", Keyword::kSetOperator},
    {"INTO", Keyword::kInto},
    {"IS", Keyword::kIs},
    {"ISNULL", Keyword::kNullTest},
    {"JOIN", Keyword::kJoin},
    {"KEY", Keyword::kKey},
    {"LAST", Keyword::kAnyName},
    {"LEFT", Keyword::kAnyName},
    {"LIKE", Keyword::kLike},
    {"LIMIT", Keyword::kLimit},
    {"MATCH", Keyword::kLike},
    {"MATERIALIZED", Keyword::kMaterialized},
    {"NATURAL", Keyword::kAnyName},
    {"NO", Keyword::kAnyName},
    {"NOT", Keyword::kNot},
    {"NOTHING", Keyword::kReserved},
    {"NOTNULL", Keyword::kNullTest},
    {"NULL", Keyword::kNull},
    {"NULLS", Keyword::kNulls},
    {"OF", Keyword::kOf},
    {"OFFSET", Keyword::kAnyName},
    {"ON", Keyword::kOn},
    {"OR", Keyword::kOr},
    {"ORDER", Keyword::kOrder},
    {"OTHERS", Keyword::kAnyName},
    {"OUTER", Keyword::kAnyName},
    {"OVER", Keyword::kOver},
    {"PARTITION", Keyword::kPartition},
    {"PLAN", Keyword::kPlan},
    {"PRAGMA", Keyword::kPragma},
    {"PRECEDING", Keyword::kAnyName},
    {"PRIMARY", Keyword::kPrimary},
    {"QUERY", Keyword::kQuery},
    {"RAISE", Keyword::kRaise},
    {"RANGE", Keyword::kFrameUnit},
    {"RECURSIVE", Keyword::kRecursive},
    {"REFERENCES", Keyword::kReferences},
    {"REGEXP", Keyword::kLike},
    {"REINDEX", Keyword::kReindex},
    {"RELEASE", Keyword::kRelease},
    {"RENAME", Keyword::kRename},
    {"REPLACE", Keyword::kReplace},
    {"RESTRICT", Keyword::kAnyName},
    {"RETURNING", Keyword::kReturning},
    {"RIGHT", Keyword::kAnyName},
    {"ROLLBACK", Keyword::kRollback},
    {"ROW", Keyword::kAnyName},
    {"ROWS", Keyword::kFrameUnit},
    {"SAVEPOINT", Keyword::kSavepoint},
    {"SELECT", Keyword::kSelect},
    {"SET", Keyword::kSet},
    {"TABLE", Keyword::kTable},
    {"TEMP", Keyword::kAnyName},
    {"TEMPORARY", Keyword::kAnyName},
    {"THEN", Keyword::kReserved},
    {"TIES", Keyword::kAnyName},
    {"TO", Keyword::kTo},
    {"TRANSACTION", Keyword::kReserved},
    {"TRIGGER", Keyword::kTrigger},
    {"TRUE", Keyword::kBoolean},
    {"UNBOUNDED", Keyword::kAnyName},
    {"UNION", Keyword::kSetOperator},
    {"UNIQUE", Keyword::kUnique},
    {"UPDATE", Keyword::kUpdate},
    {"USING", Keyword::kUsing},
    {"VACUUM", Keyword::kVacuum},
    {"VALUES", Keyword::kValues},
    {"VIEW", Keyword::kView},
    {"VIRTUAL", Keyword::kVirtual},
    {"WHEN", Keyword::kReserved},
    {"WHERE", Keyword::kWhere},
    {"WINDOW", Keyword::kWindow},
    {"WITH", Keyword::kWith},
    {"WITHOUT", Keyword::kAnyName},
};

constexpr std::size_t kShortest = 2, kLongest = 17;
constexpr std::size_t kSlots = 1024;  // sparse: most identifiers meet an empty slot at once

constexpr std::size_t SlotOf(std::string_view word) {
  const auto at = [word](std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned char>(AsciiLower(word[i])));
  };
  const std::size_t last = word.size() - 1;
  return (at(0) * 7 + at(1) * 41 + at(last) * 149 + at(last / 2) * 13 + word.size() * 331) % kSlots;
}

// Open addressing, filled when this is compiled: 1 + the entry's index, 0 for an empty slot.
constexpr std::array<std::uint8_t, kSlots> MakeSlots() {
  std::array<std::uint8_t, kSlots> slots{};
  std::uint8_t number = 0;
  for (const Entry& entry : kEntries) {
    std::size_t slot = SlotOf(entry.word);
    while (slots[slot] != 0) slot = (slot + 1) % kSlots;
    slots[slot] = ++number;
  }
  return slots;
}

constexpr std::array<std::uint8_t, kSlots> kSlotTable = MakeSlots();

bool EqualsUpper(std::string_view word, std::string_view upper) {
  if (word.size() != upper.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (AsciiUpper(word[i]) != upper[i]) return false;
  }
  return true;
}

}  // namespace

Keyword FindKeyword(std::string_view word) {
  if (word.size() < kShortest || word.size() > kLongest) return Keyword::kNone;
  for (std::size_t slot = SlotOf(word); kSlotTable[slot] != 0; slot = (slot + 1) % kSlots) {
    const Entry& entry = kEntries[kSlotTable[slot] - 1];
    if (EqualsUpper(word, entry.word)) return entry.keyword;
  }
  return Keyword::kNone;
}

}  // namespace walmanager
