// What other processes see of a connection while it works: the statement that runs, the
// transaction, the memory it takes. All of it are words in the connection's slabs, one slab for
// each of its databases (layout::ConnectionInfo).
//
// On the path of every statement, as a part of StatementMeter: no allocation, no system call, no
// SQL. Thread rules: in the thread that uses the connection. Other processes read the words at any
// time, one by one, so each is a relaxed store of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ext/core/control/connection_entry.h"
#include "ext/core/control/control_layout.h"
#include "ext/core/control/shared_words.h"
#include "ext/core/text/normalize.h"
#include "ext/core/text/statement_text.h"

struct sqlite3;

namespace walmanager {

// What the text of a statement says about it.
struct StatementNature {
  StatementKind kind = StatementKind::kOther;
  QueryKind query_kind = QueryKind::kOther;
  bool reads_only = false;
};

class PublishedConnection {
 public:
  explicit PublishedConnection(sqlite3* db) : db_(db) {}

  // A slab of this connection, and the schema that it is for.
  struct Place {
    layout::ConnectionInfo* info;
    std::string schema;
  };
  // The main database's first. What was shown before is to be shown again.
  void SetPlaces(std::vector<Place> places);
  // `body(info)` for each. Most connections have one, which is known without a look into a vector.
  template <typename Body>
  void ForPlaces(const Body& body) {
    if (main_) [[likely]]
      body(*main_);
    for (std::size_t i = 1; i < places_.size(); ++i) body(*places_[i].info);
  }
  // The first place, to be fetched before it is written; nullptr where there is none.
  const void* first() const { return main_; }

  // --- the statement that runs longest of those that run

  void ShowStatement(std::uint64_t query_id, std::uint64_t rows, std::uint64_t start_ns) {
    ForPlaces([&](layout::ConnectionInfo& info) {
      Put(info.query_id, query_id);
      Put(info.statement_rows, rows);
      Put(info.started_ns, start_ns);
    });
  }
  void ShowRows(std::uint64_t rows) {
    ForPlaces([&](layout::ConnectionInfo& info) { Put(info.statement_rows, rows); });
  }
  void ShowIdle() {
    ForPlaces([](layout::ConnectionInfo& info) { Put(info.started_ns, 0); });
  }

  // --- the transaction

  // Whether a statement of this kind, the only one that runs, has left it as it was.
  bool TransactionStays(QueryKind kind) const;
  // BEGIN has begun it, and nothing was read or written since, as far as is known.
  bool only_begun() const { return transaction_ == kExplicitTransaction; }
  // A statement has ended. The answer: whether it has written in a transaction that had read, or
  // failed to. `active`: how many others run; `other_has_read`: one of them has returned a row.
  enum class Upgrade { kNone, kDone, kFailed };
  Upgrade FollowTransaction(const StatementNature& ended, std::uint64_t start_ns,
                            std::size_t active, bool other_has_read);
  // The transaction as it is now, where it was not seen to begin.
  void ShowTransactionNow(std::uint64_t now_ns);
  void ForgetTransaction() { ShowTransaction(0, 0); }
  // In places that have been set since.
  void ShowTransactionAgain() { ShowTransaction(transaction_, transaction_ns_); }

  // --- what SQLite knows of the connection

  // Its memory. `all`: also of schema and statements, which takes longer. Not within a callback of
  // SQLite's that allocates.
  void ShowMemory(bool all);
  // Whether it enforces foreign keys; a call without SQL.
  void ShowForeignKeys();

 private:
  void ShowTransaction(std::uint64_t state, std::uint64_t start_ns);
  void CountRollback();
  // Of a statement that writes, in a transaction that has read.
  bool IsFailedUpgrade(const StatementNature& ended) const;

  // All of it in one cache line, which every statement fetches.
  layout::ConnectionInfo* main_ = nullptr;  // of the first place
  std::uint64_t transaction_ = 0;           // TransactionState and kExplicitTransaction
  std::vector<Place> places_;
  std::uint64_t transaction_ns_ = 0;  // its start
  sqlite3* const db_;
};

}  // namespace walmanager
