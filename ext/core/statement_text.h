// What a statement is about to do, as far as its text says and we must know before it runs.
//
// A look at the first words, not a parser: it is called before every statement of the host. A text
// that is taken for more than it is costs a look or a closed idle connection, nothing else. Pure.
#pragma once

#include <cstdint>

namespace walmanager {

enum class StatementKind : std::uint8_t {
  kOther,
  kSetsAutocheckpoint,  // PRAGMA wal_autocheckpoint=N: it already did so when it was prepared
  // PRAGMA journal_mode=X but wal, locking_mode=X but normal, wal_checkpoint: nothing of ours shall
  // be in its way.
  kWantsDatabase,
  kSetsSynchronous,  // PRAGMA synchronous=X
  kAttach,
  kDetach,
  kEndsTransaction,  // COMMIT, END, RELEASE
  kRollback,
};

// `sql` ends in NUL. Leading white space and comments are passed over, case is ignored.
StatementKind ClassifyStatement(const char* sql);

}  // namespace walmanager
