// read_pool(sql [, parameters_json]): statements at the same time on connections of the pool.
#include "ext/connection/connection.h"
#include "ext/read_pool/pool_scan.h"
#include "vtab/module/streamed_table.h"

namespace walmanager {
namespace {

struct Row {
  const PoolRow& pool;
  std::string_view data;
};

class Stream final : public RowStreamOf<Row> {
 public:
  explicit Stream(std::unique_ptr<ReadPoolScan> scan) : scan_(std::move(scan)) {}
  Result<bool> Next() override { return scan_->Next(); }
  Row row() const override { return {scan_->row(), scan_->data()}; }

 private:
  const std::unique_ptr<ReadPoolScan> scan_;
};

Result<std::unique_ptr<RowStreamOf<Row>>> Start(Connection& connection,
                                                std::span<const Value> arguments) {
  const std::string* sql = arguments[0].text();
  if (!sql) return Error{"sql " + arguments[0].Shown() + " is not text"};
  std::optional<std::string> parameters;
  if (!arguments[1].is_null()) {
    if (!arguments[1].text()) {
      return Error{"parameters_json " + arguments[1].Shown() + " is not text"};
    }
    parameters = *arguments[1].text();
  }
  auto scan = StartReadPool(connection, *sql, parameters);
  if (!scan.ok()) return scan.error();
  return std::unique_ptr<RowStreamOf<Row>>(new Stream(std::move(scan.value())));
}

}  // namespace

const Table& ReadPoolTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new StreamedTableOf<Row>(
      "read_pool", "read_pool(sql [, parameters_json]): runs one statement, or each of a JSON array of statements at the same time, on read-only connections of the process's pool, and returns rows as they are found. The statements see what is committed, but no TEMP tables, attached databases or functions of this connection. Where no pool is possible (no WAL mode, no file, no threads, a VFS or key of the program's own, read_pool_size 0) they run on this connection, one after the other.",
      Start, /*reveals_others=*/true, /*required=*/1,
      {
          {"statement", kInteger, "number of the statement that returned the row, from 1", [](const Row& r) -> Value { return std::uint64_t{r.pool.statement + 1}; }},
          {"row", kInteger, "number of the row within its statement, from 1", [](const Row& r) -> Value { return r.pool.number; }},
          {"data", kText, "the row as a JSON object: a blob is {\"$blob\":\"hex\"}, text that is not UTF-8 {\"$text\":\"hex\"}, infinity 9e999; a repeated column name gets :2", [](const Row& r) -> Value { return std::string(r.data); }},
          {"connection_id", kInteger, "connection that ran the statement, as in connection_metrics", [](const Row& r) -> Value { return r.pool.connection_id; }},
          {"wait_ms", kReal, "time from the call to the start of the statement", [](const Row& r) -> Value { return r.pool.wait_ms; }},
          {"query_ms", kReal, "time from the start of the statement to this row", [](const Row& r) -> Value { return r.pool.query_ms; }},
          {"sql", kText, "argument: a statement that only reads, or a JSON array of such statements", nullptr, kHidden},
          {"parameters_json", kText, "argument: an array by number or an object by name; for several statements an array with one for each, or one object for all. With {\"snapshot\":true, \"timeout_ms\":2000, \"statement_timeout_ms\":500, \"parameters\":...} all statements see the same commit, and these times replace read_pool_timeout_ms.", nullptr, kHidden},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
