// What other processes see of a connection while it works: the statement that runs, the
// transaction, the memory that it uses. These are words in the connection's slabs, of which it has
// one in the control file of each of its databases (layout::ConnectionInfo).
//
// On the path of every statement, as a part of StatementMeter: no allocation, no system call, no
// SQL. Thread rules: in the thread that uses the connection. Other processes read the words at any
// time, one by one, so each word is written by a relaxed store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ext/core/control/connection_entry.h"
#include "ext/core/control/layout_connections.h"
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
  // The place of the main database comes first. The caller shows again what was shown before.
  void SetPlaces(std::vector<Place> places);
  // Calls `body(info)` for each place. Most connections have one, which needs no look into a
  // vector.
  template <typename Body>
  void ForPlaces(const Body& body) {
    if (main_) [[likely]]
      body(*main_);
    for (std::size_t i = 1; i < places_.size(); ++i) body(*places_[i].info);
  }
  // The first place, so that it can be fetched before it is written; nullptr where there is none.
  const void* first() const { return main_; }

  // --- of the statements that run, the one that began first

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

  // Whether a statement of this kind, when no other one runs, has left the transaction as it was.
  bool TransactionStays(QueryKind kind) const;
  // Whether BEGIN has begun it and nothing was read or written since, as far as is known.
  bool only_begun() const { return transaction_ == kExplicitTransaction; }
  // A statement has ended. Returns whether it has written in a transaction that had read, or failed
  // to. `active`: how many other statements run; `other_has_read`: one of them has returned a row.
  enum class Upgrade { kNone, kDone, kFailed };
  Upgrade FollowTransaction(const StatementNature& ended, std::uint64_t start_ns,
                            std::size_t active, bool other_has_read);
  // Shows the transaction as it is now, where its beginning was not seen.
  void ShowTransactionNow(std::uint64_t now_ns);
  void ForgetTransaction() { ShowTransaction(0, 0); }
  // When the transaction that is shown has begun, in CLOCK_MONOTONIC; 0: none is.
  std::uint64_t transaction_ns() const { return transaction_ == 0 ? 0 : transaction_ns_; }
  // Shows it in places that were set after it was shown.
  void ShowTransactionAgain() { ShowTransaction(transaction_, transaction_ns_); }

  // --- what SQLite knows of the connection

  // Shows its memory. `all`: also the memory of schema and statements, which takes longer to find.
  // Must not run inside a callback that SQLite calls while it allocates memory.
  void ShowMemory(bool all);
  // Shows whether it enforces foreign keys. A call without SQL.
  void ShowForeignKeys();

 private:
  void ShowTransaction(std::uint64_t state, std::uint64_t start_ns);
  void CountRollback();
  // Whether a statement that writes has failed to, in a transaction that had read.
  bool IsFailedUpgrade(const StatementNature& ended) const;

  // All members are in one cache line, which every statement fetches.
  layout::ConnectionInfo* main_ = nullptr;  // of the first place
  std::uint64_t transaction_ = 0;           // TransactionState and kExplicitTransaction
  std::vector<Place> places_;
  std::uint64_t transaction_ns_ = 0;  // its start
  sqlite3* const db_;
};

}  // namespace walmanager
