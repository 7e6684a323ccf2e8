// What a statement is about to do, as far as its text says and we must know before it runs.
//
// A look at the first words, not a parser: it is called before every statement of the host. A text
// that is taken for more than it is costs a look or a closed idle connection, nothing else. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace walmanager {

enum class StatementKind : std::uint8_t {
  kOther,
  kSetsAutocheckpoint,   // PRAGMA wal_autocheckpoint=N: it already did so when it was prepared
  kReadsAutocheckpoint,  // PRAGMA wal_autocheckpoint
  // PRAGMA journal_mode=X but wal, locking_mode=X but normal: nothing of ours shall be in its way.
  kWantsDatabase,
  kCheckpoints,      // PRAGMA wal_checkpoint: likewise
  kSetsSynchronous,  // PRAGMA synchronous=X
  kSetsLayout,       // PRAGMA page_size=N, auto_vacuum=X: as layout_pragma.h
  kAttach,
  kDetach,
  kEndsTransaction,  // COMMIT, END, RELEASE
  kRollback,
};

// `sql` ends in NUL. Leading white space and comments are passed over, case is ignored.
StatementKind ClassifyStatement(const char* sql);

// What a PRAGMA wal_checkpoint asks for. The texts are the statement's own.
struct CheckpointPragma {
  std::string_view schema;  // empty: all
  std::string_view mode;    // as it is written, without quotes; empty: PASSIVE
};
CheckpointPragma ReadCheckpointPragma(std::string_view sql);

// Whether the value that such a PRAGMA sets is written as 0, as a program writes what it has read.
bool SetsAutocheckpointToZero(const char* sql);

}  // namespace walmanager
