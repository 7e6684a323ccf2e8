// Which indexes of a schema nothing needs: another one begins with the same columns, or no
// statement that was seen uses them. From the texts of the schema and of normalized statements, and
// from SQLite's plans.
//
// The rule that must not break: where anything is in doubt, an index is needed. So a name that
// stands anywhere in a statement counts as the table or column of that name. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace walmanager {

struct IndexShape {
  // A column or expression by which the index is sorted.
  struct Part {
    std::string what;  // the same for the same: a column's name or an expression's tokens
    std::string collation;
    bool descending = false;
    bool operator==(const Part&) const = default;
  };
  std::string name, table;
  std::string sql;  // empty: made by UNIQUE or PRIMARY KEY
  bool unique = false;
  std::vector<Part> parts = {};
  std::string where = {};  // the tokens of a partial index's condition; empty: it is of all rows
};

// The columns and the condition of CREATE INDEX, as tokens: the same text for the same tokens in
// another spacing and case. Strings and quoted names keep their case.
struct IndexText {
  std::vector<std::string> parts;
  std::string where;
};
IndexText ReadIndexText(std::string_view create_index);

struct SchemaOfIndexes {
  struct Object {  // a view or a trigger
    std::string name, table, sql;
    bool is_trigger = false;
  };
  struct ForeignKey {
    std::string table, parent;
    std::vector<std::string> columns;
  };
  std::vector<IndexShape> indexes = {};  // in the order in which they were created
  std::vector<Object> objects = {};
  std::vector<ForeignKey> foreign_keys = {};
  bool has_samples = false;  // of ANALYZE (sqlite_stat4): plans may depend on values
};

// A statement that reads or writes.
struct SeenStatement {
  std::string text;  // normalized
  bool writes = false;
  std::string plan;
  bool plan_is_known = false;  // the whole plan, of the schema as it is
  bool one_text = false;       // it was seen with one text only, so with the same literals
};

struct UnusedIndex {
  enum class Reason { kNotUsed, kPrefix, kDuplicate };
  std::size_t index = 0;  // in SchemaOfIndexes::indexes
  Reason reason = Reason::kNotUsed;
  std::optional<std::size_t> covered_by;  // the index that begins with the same columns
};

// Neither unique indexes nor those of constraints are among them, nor an index that a statement or
// the schema names behind INDEXED BY. Of two that are the same, the one that was created first
// stays. An index that covers another one that is reported here stays. `all_seen`: no statement is
// missing; where one is, no index is reported as not used.
std::vector<UnusedIndex> FindUnusedIndexes(const SchemaOfIndexes& schema,
                                           std::span<const SeenStatement> statements,
                                           bool all_seen);

}  // namespace walmanager
