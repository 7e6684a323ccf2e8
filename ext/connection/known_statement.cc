#include "ext/connection/known_statement.h"

#include <cstring>
#include <functional>
#include <string_view>

#include "ext/engine/sqlite.h"

namespace walmanager {
namespace {

constexpr std::array kStatusOps = {SQLITE_STMTSTATUS_FULLSCAN_STEP, SQLITE_STMTSTATUS_SORT,
                                   SQLITE_STMTSTATUS_AUTOINDEX, SQLITE_STMTSTATUS_VM_STEP,
                                   SQLITE_STMTSTATUS_REPREPARE};

}  // namespace

bool KnownStatement::IsOf(const char* sql_now) const {
  if (long_hash == 0) [[likely]]
    return std::strcmp(sql.c_str(), sql_now) == 0;
  return std::hash<std::string_view>()(sql_now) == long_hash;
}

void KnownStatement::BeginAnew() {
  status = {};
  steps_seen = reprepares_seen = 0;
  uncovered = 0;
  runs = 0;
}

std::uint32_t KnownStatement::Read(Status what) const {
  return static_cast<std::uint32_t>(
      sqlite3_stmt_status(stmt, kStatusOps[static_cast<std::size_t>(what)], 0));
}

void KnownStatement::ReadAll() {
  for (std::size_t i = 0; i < kStatuses; ++i) status[i] = Read(static_cast<Status>(i));
  steps_seen = status[kVmSteps];
}

void KnownStatement::LookAgain(Looked& looked) {
  std::array<std::uint64_t, kStatuses> since{};
  for (std::size_t i = 0; i < kStatuses; ++i) {
    const std::uint32_t now = Read(static_cast<Status>(i));
    since[i] = CountedSince(status[i], now);
    status[i] = now;
  }
  looked.fullscan_steps = since[kFullscanSteps];
  looked.sorts = since[kSorts];
  looked.auto_index_rows = since[kAutoIndexRows];
  looked.vm_steps = since[kVmSteps];
  looked.reprepares = since[kReprepares];
  looked.scan_calls = uncovered;
  uncovered = 0;
}

}  // namespace walmanager
