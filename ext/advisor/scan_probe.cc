#include "ext/advisor/scan_probe.h"

#include <algorithm>
#include <utility>

namespace walmanager {
namespace {

constexpr const char* kModuleName = "walmanager_scan_probe";
constexpr std::size_t kMostScans = 64;  // of one statement: a join of many tables has thousands

struct ProbedTable : sqlite3_vtab {
  ScanProbe* probe;
  const TableShape* shape;
};

std::string DeclareTable(const TableShape& shape) {
  std::string sql = "CREATE TABLE x(";
  const char* comma = "";
  for (const TableShape::Column& column : shape.columns) {
    ((sql += comma) += QuoteName(column.name)) += " ";
    // In quotes, the type is one word, whatever it holds.
    if (!column.type.empty()) sql += QuoteName(column.type);
    if (!column.collation.empty()) sql += " COLLATE " + QuoteName(column.collation);
    comma = ", ";
  }
  return sql + ")";
}

int Connect(sqlite3* db, void* probe, int count, const char* const* arguments, sqlite3_vtab** out,
            char**) {
  return AtCEdge([&] {
    constexpr int kTable = 2;
    auto* self = static_cast<ScanProbe*>(probe);
    const TableShape* shape = count > kTable ? self->Shape(arguments[kTable]) : nullptr;
    if (!shape) return SQLITE_ERROR;
    const int rc = sqlite3_declare_vtab(db, DeclareTable(*shape).c_str());
    if (rc != SQLITE_OK) return rc;
    auto* table = new ProbedTable{};
    table->probe = self;
    table->shape = shape;
    *out = table;
    return SQLITE_OK;
  });
}

int Disconnect(sqlite3_vtab* table) {
  delete static_cast<ProbedTable*>(table);
  return SQLITE_OK;
}

bool IsEquality(unsigned char op) {
  return op == SQLITE_INDEX_CONSTRAINT_EQ || op == SQLITE_INDEX_CONSTRAINT_IS ||
         op == SQLITE_INDEX_CONSTRAINT_ISNULL;
}

bool IsRange(unsigned char op) {
  return op == SQLITE_INDEX_CONSTRAINT_GT || op == SQLITE_INDEX_CONSTRAINT_LE ||
         op == SQLITE_INDEX_CONSTRAINT_LT || op == SQLITE_INDEX_CONSTRAINT_GE;
}

bool IsColumn(const TableShape& shape, int column) {
  return column >= 0 && static_cast<std::size_t>(column) < shape.columns.size() &&
         static_cast<std::size_t>(column) != shape.rowid_alias;
}

bool Contains(const std::vector<std::size_t>& columns, std::size_t column) {
  return std::find(columns.begin(), columns.end(), column) != columns.end();
}

// Behind the rowid nothing is left to be put in order, and every index ends in it.
std::vector<std::size_t> Order(const TableShape& shape, const sqlite3_index_info& info) {
  std::vector<std::size_t> order;
  for (int i = 0; i < info.nOrderBy; ++i) {
    if (info.aOrderBy[i].desc != info.aOrderBy[0].desc) return {};
    if (!IsColumn(shape, info.aOrderBy[i].iColumn)) break;
    const auto column = static_cast<std::size_t>(info.aOrderBy[i].iColumn);
    if (!Contains(order, column)) order.push_back(column);
  }
  return order;
}

int BestIndex(sqlite3_vtab* base, sqlite3_index_info* info) {
  return AtCEdge([&] {
    const auto* table = static_cast<ProbedTable*>(base);
    const TableShape& shape = *table->shape;
    Scan scan;
    scan.table = &shape;
    int used = 0;
    for (int i = 0; i < info->nConstraint; ++i) {
      const auto& constraint = info->aConstraint[i];
      if (!constraint.usable || !IsColumn(shape, constraint.iColumn)) continue;
      if (!IsEquality(constraint.op) && !IsRange(constraint.op)) continue;
      const auto column = static_cast<std::size_t>(constraint.iColumn);
      const char* collation = sqlite3_vtab_collation(info, i);
      if (!collation || sqlite3_stricmp(collation, shape.columns[column].collation.c_str()) != 0)
        continue;
      if (IsEquality(constraint.op)) {
        scan.equal.insert(column);
      } else if (!Contains(scan.ranges, column)) {
        scan.ranges.push_back(column);
      }
      // Said to be used, so that the planner asks again without it.
      info->aConstraintUsage[i].argvIndex = ++used;
    }
    scan.order = Order(shape, *info);
    info->estimatedCost = 1e6 / (used + 1);
    table->probe->Note(std::move(scan));
    return SQLITE_OK;
  });
}

// It is never run, and there only so that UPDATE and DELETE compile.
int Update(sqlite3_vtab*, int, sqlite3_value**, sqlite3_int64*) { return SQLITE_READONLY; }

const sqlite3_module kModule = [] {
  sqlite3_module module{};
  module.xCreate = Connect;
  module.xConnect = Connect;
  module.xBestIndex = BestIndex;
  module.xDisconnect = Disconnect;
  module.xDestroy = Disconnect;
  module.xUpdate = Update;
  return module;
}();

}  // namespace

Result<std::unique_ptr<ScanProbe>> ScanProbe::Make(const SchemaSource& source, SchemaCopy& copy) {
  auto db = OpenPrivateDatabase(source.functions);
  if (!db.ok()) return db.error();
  std::unique_ptr<ScanProbe> probe(new ScanProbe(std::move(db.value()), copy));
  sqlite3* raw = probe->db_.get();
  if (sqlite3_create_module_v2(raw, kModuleName, &kModule, probe.get(), nullptr) != SQLITE_OK)
    return EngineError(raw);
  const OnlyAllow creation(raw);
  for (const SchemaSource::Object& object : source.objects) {
    if (object.type != "view" || !object.needed) continue;
    const auto stmt = Prepare(raw, object.sql);
    if (stmt.ok()) sqlite3_step(stmt.value().get());
  }
  return probe;
}

std::vector<Scan> ScanProbe::Ask(const std::string& sql, const std::set<std::string>& tables) {
  for (const std::string& table : tables) Declare(table);
  scans_.clear();
  const OnlyAllow planning(db_.get(), nullptr);
  const auto stmt = Prepare(db_.get(), sql);
  return stmt.ok() ? std::exchange(scans_, {}) : std::vector<Scan>();
}

void ScanProbe::Declare(const std::string& table) {
  if (!copy_.Shape(table) || !declared_.insert(table).second) return;
  (void)QueryText(db_.get(), "CREATE VIRTUAL TABLE " + QuoteName(table) + " USING " + kModuleName);
}

void ScanProbe::Note(Scan scan) {
  const bool nothing = scan.equal.empty() && scan.ranges.empty() && scan.order.empty();
  if (nothing || scans_.size() >= kMostScans) return;
  if (std::find(scans_.begin(), scans_.end(), scan) == scans_.end())
    scans_.push_back(std::move(scan));
}

}  // namespace walmanager
