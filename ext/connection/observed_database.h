// One database as tables describe it for its health watch: without a connection of the host, so
// without SQL, hooks or a place in the control file, and without opening a file. It knows nothing
// that belongs to one connection.
//
// Thread rules: by one thread at a time, the one that evaluates the health checks.
#pragma once

#include "ext/connection/table_source.h"
#include "ext/system/registry.h"

namespace walmanager {

class ObservedDatabase final : public TableSource {
 public:
  ObservedDatabase() : registry_(&Registry::Get()) {}
  // Which one: before anything is asked. It must be there while something is.
  void Observe(Database& database) { database_ = &database; }

  Connection* host() override { return nullptr; }
  bool belongs_here() const override { return &Registry::Get() == registry_; }
  bool is_over() const override { return database_->stopping(); }
  std::uint64_t id() const override { return 0; }
  Result<std::vector<Schema>> Schemas() override;
  std::optional<WalIndex> LookAtLog(const Schema& schema) override;
  std::optional<std::int64_t> PageSize(const Schema& schema) override;
  std::string InlineBecause(const Schema& schema) override;
  bool automatic() const override { return true; }
  // As a connection last found it.
  std::optional<ReplicatorState> FindReplicator(const Schema& schema) override;
  std::vector<MarksBefore> ReadMarksBefore() override { return {}; }
  std::optional<ReadMarks> FindReadMarks(const Schema& schema) override;
  AskersTransaction TransactionOf(const Schema&) const override { return {}; }
  // Does nothing, since the watch itself asks.
  void Watch(const Schema&, Database::Watching) override {}

 private:
  Database* database_ = nullptr;
  const Registry* const registry_;
};

}  // namespace walmanager
