#include "ext/read_pool/pool_statement.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <iterator>

#include "ext/core/base/value_json.h"
#include "ext/core/text/sql_keywords.h"

namespace walmanager {
namespace {

constexpr int kMostKeptBytes = 64 << 10;  // one statement, as SQLite counts its memory
constexpr int kKnowsOffsets = 3038000;    // sqlite3_error_offset()

std::string Lower(const char* text) {
  std::string lower(text ? text : "");
  std::transform(lower.begin(), lower.end(), lower.begin(), AsciiLower);
  return lower;
}

const char* ActionName(int action) {
  switch (action) {
    case SQLITE_ATTACH:
      return "ATTACH";
    case SQLITE_DETACH:
      return "DETACH";
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
      return "a transaction";
    case SQLITE_PRAGMA:
      return "PRAGMA";
    case SQLITE_FUNCTION:
      return "the function";
    default:
      return "what changes the schema";
  }
}

bool MayPass(int action, const char* a, const char* b) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
      return true;
    case SQLITE_FUNCTION:
      return Lower(b) != "load_extension";
    case SQLITE_PRAGMA:
      return PragmaOnlyReads(Lower(a), b != nullptr);
    default:
      return false;
  }
}

Error Refused(const ReadGuard& guard) {
  return Error{guard.refused() + " is refused: only what reads runs here"};
}

// Position and words of what failed to prepare.
Error PrepareError(sqlite3* db, const std::string& sql) {
  Error error = EngineError(db);
  const int offset = sqlite3_libversion_number() >= kKnowsOffsets ? sqlite3_error_offset(db) : -1;
  if (offset < 0 || static_cast<std::size_t>(offset) > sql.size()) return error;
  error.message += ", at byte " + std::to_string(offset + 1) + ": " +
                   ShownText(std::string_view(sql).substr(static_cast<std::size_t>(offset)));
  return error;
}

}  // namespace

void ReadGuard::PlaceOn(sqlite3* db) { sqlite3_set_authorizer(db, OnAction, this); }

int ReadGuard::OnAction(void* self, int action, const char* a, const char* b, const char*,
                        const char*) {
  auto* guard = static_cast<ReadGuard*>(self);
  guard->saw_pragma_ |= action == SQLITE_PRAGMA;
  if (guard->off_ || MayPass(action, a, b)) return SQLITE_OK;
  AtCEdge([&] {
    if (!guard->refused_.empty()) return SQLITE_OK;
    guard->refused_ = ActionName(action);
    if (action == SQLITE_PRAGMA && a) (guard->refused_ += ' ') += a;
    if (action == SQLITE_FUNCTION && b) (guard->refused_ += ' ') += b;
    return SQLITE_OK;
  });
  return SQLITE_DENY;
}

KeptStatements::Kept KeptStatements::Take(const std::string& sql) {
  const auto found =
      std::find_if(kept_.rbegin(), kept_.rend(), [&](const Kept& kept) { return kept.sql == sql; });
  if (found == kept_.rend()) return {};
  Kept taken = std::move(*found);
  kept_.erase(std::next(found).base());
  return taken;
}

bool KeptStatements::ComesAgain(const std::string& sql) {
  if (sql.size() > kLongest) return false;
  const std::uint64_t hash = XXH3_64bits(sql.data(), sql.size());
  if (std::find(seen_.begin(), seen_.end(), hash) != seen_.end()) return true;
  seen_[next_seen_++ % kRemembered] = hash;
  return false;
}

void KeptStatements::Keep(Kept kept) {
  if (kept_.size() == kMost) kept_.erase(kept_.begin());
  kept_.push_back(std::move(kept));
}

Result<PoolQuery> PoolQuery::Prepare(sqlite3* db, const PoolStatement& statement, Pooled pooled) {
  auto [guard, kept] = pooled;
  if (guard) guard->Forget();
  const std::string& sql = statement.sql;
  if (Kept taken = kept ? kept->Take(sql) : Kept{}; taken.stmt) {
    PoolQuery query(db, pooled, std::move(taken));
    if (Status bound = query.Bind(*statement.parameters); !bound.ok()) return bound.error();
    return query;
  }
  sqlite3_stmt* stmt = nullptr;
  const char* tail = nullptr;
  const bool comes_again = kept && kept->ComesAgain(sql);
  // With its NUL, which saves SQLite a copy; a statement ends at the first one.
  const int rc = sqlite3_prepare_v3(db, sql.c_str(), static_cast<int>(sql.size()) + 1,
                                    comes_again ? SQLITE_PREPARE_PERSISTENT : 0, &stmt, &tail);
  OwnedStmt owned(stmt);
  if (guard && !guard->refused().empty()) return Refused(*guard);
  if (rc != SQLITE_OK) return PrepareError(db, sql);
  if (!stmt) return Error{"is empty"};
  if (!sqlite3_stmt_readonly(stmt)) {
    return Error{"writes, which is refused: only what reads runs here"};
  }
  // The second statement is never compiled: compiling alone might act.
  if (!IsEmptySql(tail)) {
    return Error{"is followed by another one: several statements are given as a JSON array"};
  }
  const bool keep = comes_again && !guard->saw_pragma() && sqlite3_stmt_isexplain(stmt) == 0 &&
                    sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_MEMUSED, 0) <= kMostKeptBytes;
  Kept prepared;
  if (keep) prepared.sql = sql;
  prepared.stmt = std::move(owned);
  PoolQuery query(db, pooled, std::move(prepared));
  if (Status bound = query.Bind(*statement.parameters); !bound.ok()) return bound.error();
  return query;
}

Status PoolQuery::Bind(const PoolParameters& parameters) {
  const int count = sqlite3_bind_parameter_count(stmt());
  if (!parameters.by_name && parameters.values.size() != static_cast<std::size_t>(count)) {
    return Error{"has " + std::to_string(count) +
                 (count == 1 ? " parameter, and " : " parameters, and ") +
                 std::to_string(parameters.values.size()) +
                 (parameters.values.size() == 1 ? " value is given" : " values are given")};
  }
  for (int number = 1; number <= count; ++number) {
    const Value* value = nullptr;
    if (parameters.by_name) {
      const char* name = sqlite3_bind_parameter_name(stmt(), number);
      if (!name) {
        return Error{"has a parameter " + std::to_string(number) +
                     " without a name: its values are given as an array"};
      }
      value = parameters.Find(name);
      if (!value) return Error{"has a parameter " + ShownText(name) + " that is not given"};
    } else {
      value = &parameters.values[static_cast<std::size_t>(number - 1)];
    }
    if (Status bound = BindOne(number, *value); !bound.ok()) return bound;
  }
  return Ok{};
}

Status PoolQuery::BindOne(int number, const Value& value) {
  sqlite3_stmt* stmt = this->stmt();
  int rc = SQLITE_OK;
  if (const auto* integer = value.integer()) {
    rc = sqlite3_bind_int64(stmt, number, *integer);
  } else if (const auto* real = value.real()) {
    rc = sqlite3_bind_double(stmt, number, *real);
  } else if (const auto* text = value.text()) {
    rc = sqlite3_bind_text64(stmt, number, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
  } else if (const auto* blob = value.blob()) {
    rc = sqlite3_bind_blob64(stmt, number, blob->data(), blob->size(), SQLITE_STATIC);
  }
  if (rc == SQLITE_OK) return Ok{};
  const Error error = EngineError(db_);
  return Error{"parameter " + std::to_string(number) + ": " + error.message, error.code};
}

void PoolQuery::LookUpFields() {
  const int compiled = sqlite3_stmt_status(stmt(), SQLITE_STMTSTATUS_REPREPARE, 0);
  if (kept_.fields.empty() || kept_.compiled != compiled) {
    std::vector<std::string> columns;
    for (int i = 0; i < sqlite3_column_count(stmt()); ++i) {
      const char* name = sqlite3_column_name(stmt(), i);
      columns.emplace_back(name ? name : "");
    }
    kept_.fields = JsonFieldNames(columns);
    kept_.compiled = compiled;
  }
  has_fields_ = true;
}

void PoolQuery::End() {
  if (kept_.sql.empty()) return;
  sqlite3_reset(stmt());
  sqlite3_clear_bindings(stmt());  // they are the caller's memory
  // The progress handler is called by the steps of all runs: each begins anew.
  sqlite3_stmt_status(stmt(), SQLITE_STMTSTATUS_VM_STEP, 1);
  pooled_.kept->Keep(std::move(kept_));
}

Result<bool> PoolQuery::Step() {
  const int rc = sqlite3_step(stmt());
  if (rc == SQLITE_DONE) return false;
  if (rc != SQLITE_ROW) {
    // Compiled anew for a schema that has changed.
    if (pooled_.guard && !pooled_.guard->refused().empty()) return Refused(*pooled_.guard);
    return EngineError(db_);
  }
  return true;
}

Status PoolQuery::AppendRow(std::string& out) {
  if (!has_fields_) LookUpFields();
  const std::vector<std::string>& fields = kept_.fields;
  const std::size_t begin = out.size();
  char before = '{';
  for (std::size_t i = 0; i < fields.size(); ++i) {
    (out += before) += fields[i];
    if (!AppendValue(out, begin, static_cast<int>(i))) {
      out.resize(begin);
      return Error{"a row with " +
                   std::to_string(sqlite3_column_bytes(stmt(), static_cast<int>(i))) +
                   " bytes in column " + std::to_string(i + 1) +
                   " is, as JSON, longer than a value may be (" +
                   std::to_string(sqlite3_limit(db_, SQLITE_LIMIT_LENGTH, -1)) + " bytes)"};
    }
    before = ',';
  }
  out += '}';
  return Ok{};
}

bool PoolQuery::AppendValue(std::string& out, std::size_t begin, int column) {
  sqlite3_stmt* stmt = this->stmt();
  const auto bytes = [&](const void* data) {
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(stmt, column));
    return data ? std::string_view(static_cast<const char*>(data), size) : std::string_view();
  };
  const int type = sqlite3_column_type(stmt, column);
  const auto most = static_cast<std::size_t>(sqlite3_limit(db_, SQLITE_LIMIT_LENGTH, -1));
  // Before it is built: two digits for each byte of a blob, at least one for each of a text.
  if (type == SQLITE_BLOB || type == SQLITE_TEXT) {
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(stmt, column));
    if (out.size() - begin + size * (type == SQLITE_BLOB ? 2 : 1) > most) return false;
  }
  switch (type) {
    case SQLITE_INTEGER:
      AppendJsonInteger(out, sqlite3_column_int64(stmt, column));
      break;
    case SQLITE_FLOAT:
      AppendJsonReal(out, sqlite3_column_double(stmt, column));
      break;
    case SQLITE_TEXT:
      AppendJsonText(out, bytes(sqlite3_column_text(stmt, column)));
      break;
    case SQLITE_BLOB:
      AppendJsonBlob(out, bytes(sqlite3_column_blob(stmt, column)));
      break;
    default:
      out += "null";
  }
  return out.size() - begin < most;
}

}  // namespace walmanager
