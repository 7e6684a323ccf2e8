#include "ext/advisor/index_advisor.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "ext/advisor/scan_probe.h"
#include "ext/advisor/schema_copy.h"
#include "ext/core/base/sort_by_key.h"
#include "ext/core/text/plan_text.h"
#include "ext/core/text/preparable_text.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

using Key = TableShape::Key;

constexpr std::size_t kMostStatements = 50;
constexpr std::size_t kMostColumns = 4;
constexpr std::size_t kMostRanges = 2;       // of one scan, each for an index of its own
constexpr std::size_t kMostTried = 24;       // indexes, for one statement
constexpr std::uint64_t kLeastSteps = 1000;  // of SQLite's machine: some hundred rows

// Whether an execution does work that an index may save.
bool MayGain(const QueryRow& query) {
  const QueryTotals& totals = query.totals;
  if (query.kind != QueryKind::kRead && query.kind != QueryKind::kWrite) return false;
  if (totals.calls == 0 || totals.scan_calls == 0) return false;
  if (totals.fullscan_steps == 0 && totals.sorts == 0 && totals.auto_index_rows == 0) return false;
  if (totals.vm_steps / totals.scan_calls < kLeastSteps) return false;
  return query.plan.empty() || !WorkOfPlan(query.plan).none();
}

struct Index {
  const TableShape* table;
  Key columns;
  bool operator==(const Index&) const = default;
};

struct Statement {
  QueryRow row;
  std::string sql;
  std::vector<Scan> scans;
  ForeignKeys foreign_keys = ForeignKeys::kOff;
  std::string plan_before, plan;
  PlanWork work_before, work;
  bool gains() const { return work.HasLessThan(work_before); }
};

struct Proposal {
  Index index;
  std::string name;  // in the copy; empty: not there
};

class Advisor {
 public:
  Advisor(SchemaCopy& copy, ScanProbe& probe, std::uint64_t deadline_ns)
      : copy_(copy), probe_(probe), deadline_ns_(deadline_ns) {}

  void Look(QueryRow row);
  // After all statements were looked at.
  std::vector<IndexCandidate> Advise(const std::string& schema);

 private:
  using Weights = std::map<std::pair<const TableShape*, std::size_t>, int>;

  bool PlanAsItRan(Statement& statement, TablesNamed& named);
  std::string Plan(const Statement& statement);
  void AddReferences(const std::set<std::string>& changed, std::vector<Scan>& scans);
  void Weigh();
  std::vector<Index> IndexesFor(const Statement& statement) const;
  void AddIndexesFor(const Scan& scan, std::vector<Index>& indexes) const;
  Key Equal(const Scan& scan) const;
  void Try(const Statement& statement);
  void Propose(const Index& index);
  void Replan(Statement& statement);
  void LeaveOutWhatOthersServe();
  bool IsNeeded(const std::string& dropped);
  IndexCandidate Report(const Proposal& proposal, const std::string& schema) const;
  bool late() const { return MonotonicNs() >= deadline_ns_; }

  SchemaCopy& copy_;
  ScanProbe& probe_;
  const std::uint64_t deadline_ns_;
  std::vector<Statement> statements_;  // the longest total first
  std::vector<Proposal> proposals_;
  Weights weights_;
};

void Advisor::Look(QueryRow row) {
  if (late()) return;
  Statement statement;
  statement.row = std::move(row);
  statement.sql = PreparableText(statement.row.text);
  if (statement.sql.empty()) return;
  TablesNamed named;
  if (!PlanAsItRan(statement, named) || statement.work_before.none()) return;
  statement.scans = probe_.Ask(std::string(WithoutReturning(statement.sql)), named.all);
  if (statement.foreign_keys == ForeignKeys::kOn) AddReferences(named.changed, statement.scans);
  if (!statement.scans.empty()) statements_.push_back(std::move(statement));
}

// False where it was planned better where it ran: a literal made it fit a partial index, for
// example. Whether foreign keys are enforced there is not known, but seen.
bool Advisor::PlanAsItRan(Statement& statement, TablesNamed& named) {
  const bool ran = !statement.row.plan.empty();
  const PlanWork work_then = WorkOfPlan(statement.row.plan);
  for (const ForeignKeys keys : {ForeignKeys::kOn, ForeignKeys::kOff}) {
    if (keys == ForeignKeys::kOn && !ran) continue;
    auto plan = copy_.Plan(statement.sql, keys, &named);
    if (!plan) continue;
    const PlanWork work = WorkOfPlan(*plan);
    if (ran && work_then.HasLessThan(work)) continue;
    statement.foreign_keys = keys;
    statement.plan_before = std::move(*plan);
    statement.work_before = work;
    return true;
  }
  return false;
}

// SQLite looks for rows that refer to a deleted row by the columns of their foreign key.
void Advisor::AddReferences(const std::set<std::string>& changed, std::vector<Scan>& scans) {
  for (const std::string& table : changed) {
    for (const Reference& reference : copy_.ReferencesTo(table)) {
      Scan scan;
      scan.table = copy_.Shape(reference.table);
      for (const std::string& column : reference.columns) {
        if (const auto found = scan.table ? scan.table->Find(column) : std::nullopt)
          scan.equal.insert(*found);
      }
      if (!scan.equal.empty()) scans.push_back(std::move(scan));
    }
  }
}

// How many statements compare each column.
void Advisor::Weigh() {
  for (const Statement& statement : statements_) {
    std::set<std::pair<const TableShape*, std::size_t>> compared;
    for (const Scan& scan : statement.scans) {
      for (const std::size_t column : scan.equal) compared.emplace(scan.table, column);
    }
    for (const auto& column : compared) ++weights_[column];
  }
}

// Columns that most statements compare come first, so that an index serves these statements, too.
Key Advisor::Equal(const Scan& scan) const {
  Key columns(scan.equal.begin(), scan.equal.end());
  std::stable_sort(columns.begin(), columns.end(), [&](std::size_t a, std::size_t b) {
    return weights_.at({scan.table, a}) > weights_.at({scan.table, b});
  });
  if (columns.size() > kMostColumns) columns.resize(kMostColumns);
  return columns;
}

void Advisor::AddIndexesFor(const Scan& scan, std::vector<Index>& indexes) const {
  const auto add = [&](const Key& columns) {
    const Index index{scan.table, columns};
    if (columns.empty() || indexes.size() >= kMostTried) return;
    if (scan.table->HasKeyThatBegins(columns)) return;
    if (std::find(indexes.begin(), indexes.end(), index) == indexes.end()) indexes.push_back(index);
  };
  const Key equal = Equal(scan);
  add(equal);
  const auto with = [&](Key columns, std::size_t column) {
    const bool has = std::find(columns.begin(), columns.end(), column) != columns.end();
    if (!has && columns.size() < kMostColumns) columns.push_back(column);
    return columns;
  };
  for (std::size_t i = 0; i < std::min(scan.ranges.size(), kMostRanges); ++i)
    add(with(equal, scan.ranges[i]));
  Key ordered = equal;
  for (const std::size_t column : scan.order) ordered = with(ordered, column);
  add(ordered);
  // The order alone: an equality by IN would spoil it.
  Key order;
  for (const std::size_t column : scan.order) order = with(order, column);
  add(order);
}

std::vector<Index> Advisor::IndexesFor(const Statement& statement) const {
  std::vector<Index> indexes;
  for (const Scan& scan : statement.scans) AddIndexesFor(scan, indexes);
  return indexes;
}

// Creates all indexes that may help, and the planner chooses.
void Advisor::Try(const Statement& statement) {
  std::vector<Proposal> tried;
  for (const Index& index : IndexesFor(statement)) {
    tried.push_back({index, copy_.CreateIndex(*index.table, index.columns)});
  }
  const std::string plan = Plan(statement);
  const bool gains = WorkOfPlan(plan).HasLessThan(statement.work_before);
  for (const Proposal& proposal : tried) {
    if (proposal.name.empty()) continue;
    copy_.DropIndex(proposal.name);
    if (gains && PlanUsesIndex(plan, proposal.name)) Propose(proposal.index);
  }
}

void Advisor::Propose(const Index& index) {
  const auto is_it = [&](const Proposal& proposal) { return proposal.index == index; };
  if (std::none_of(proposals_.begin(), proposals_.end(), is_it)) proposals_.push_back({index, ""});
}

// With the indexes that are there now.
std::string Advisor::Plan(const Statement& statement) {
  return copy_.Plan(statement.sql, statement.foreign_keys, nullptr).value_or(statement.plan_before);
}

void Advisor::Replan(Statement& statement) {
  statement.plan = Plan(statement);
  statement.work = WorkOfPlan(statement.plan);
}

// Whether a statement that used the index, which is dropped now, does more without it.
bool Advisor::IsNeeded(const std::string& dropped) {
  return std::any_of(statements_.begin(), statements_.end(), [&](const Statement& statement) {
    return PlanUsesIndex(statement.plan, dropped) &&
           statement.work.HasLessThan(WorkOfPlan(Plan(statement)));
  });
}

// Short ones first: a longer index often serves the same statements.
void Advisor::LeaveOutWhatOthersServe() {
  SortSmallestFirst(proposals_, [](const Proposal& each) { return each.index.columns.size(); });
  for (Proposal& proposal : proposals_) {
    if (proposal.name.empty() || late()) continue;
    const std::string name = std::exchange(proposal.name, "");
    copy_.DropIndex(name);
    if (IsNeeded(name))
      proposal.name = copy_.CreateIndex(*proposal.index.table, proposal.index.columns);
    for (Statement& statement : statements_) {
      if (PlanUsesIndex(statement.plan, name)) Replan(statement);
    }
  }
}

IndexCandidate Advisor::Report(const Proposal& proposal, const std::string& schema) const {
  IndexCandidate candidate;
  candidate.table = proposal.index.table->name;
  for (const std::size_t column : proposal.index.columns)
    candidate.columns.push_back(proposal.index.table->columns[column].name);
  candidate.sql_to_run = SchemaCopy::CreateIndexSql(schema == "main" ? "" : schema, proposal.name,
                                                    *proposal.index.table, proposal.index.columns);
  for (const Statement& statement : statements_) {
    if (!statement.gains() || !PlanUsesIndex(statement.plan, proposal.name)) continue;
    if (candidate.statements++ == 0) {
      candidate.plan_before = statement.plan_before;
      candidate.plan_after = statement.plan;
      candidate.query_id = statement.row.id;
      candidate.query = statement.row.text;
    }
    candidate.calls += statement.row.totals.calls;
    candidate.total_ns += statement.row.totals.total_ns;
  }
  return candidate;
}

std::vector<IndexCandidate> Advisor::Advise(const std::string& schema) {
  Weigh();
  for (const Statement& statement : statements_) {
    if (!late()) Try(statement);
  }
  for (Proposal& proposal : proposals_)
    proposal.name = copy_.CreateIndex(*proposal.index.table, proposal.index.columns);
  for (Statement& statement : statements_) Replan(statement);
  LeaveOutWhatOthersServe();
  std::vector<IndexCandidate> candidates;
  for (const Proposal& proposal : proposals_) {
    if (proposal.name.empty()) continue;
    IndexCandidate candidate = Report(proposal, schema);
    if (candidate.statements != 0) candidates.push_back(std::move(candidate));
  }
  return candidates;
}

}  // namespace

std::vector<IndexCandidate> FindIndexCandidates(Connection& connection, const std::string& schema,
                                                std::vector<QueryRow> queries,
                                                std::uint64_t deadline_ns) {
  std::erase_if(queries, [](const QueryRow& query) { return !MayGain(query); });
  if (queries.empty()) return {};
  std::sort(queries.begin(), queries.end(), [](const QueryRow& a, const QueryRow& b) {
    return std::pair(b.totals.total_ns, a.id) < std::pair(a.totals.total_ns, b.id);
  });
  if (queries.size() > kMostStatements) queries.resize(kMostStatements);
  std::vector<std::string> texts;
  for (const QueryRow& query : queries) texts.push_back(query.text);
  const auto source = ReadSchemaSource(connection, schema, texts);
  if (!source) return {};
  auto copy = SchemaCopy::Make(*source, deadline_ns);
  if (!copy.ok()) return {};
  const auto probe = ScanProbe::Make(*source, copy.value());
  if (!probe.ok()) return {};
  Advisor advisor(copy.value(), *probe.value(), deadline_ns);
  for (QueryRow& query : queries) advisor.Look(std::move(query));
  return advisor.Advise(schema);
}

}  // namespace walmanager
