// What a statement is about to do, as far as its text says so and the extension must know before it
// runs.
//
// It looks at the first words and does not parse, since it is called before every statement of the
// host. A wrong guess costs a look at the log or closes an idle connection, nothing else. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace walmanager {

enum class StatementKind : std::uint8_t {
  kOther,
  kSetsAutocheckpoint,   // PRAGMA wal_autocheckpoint=N: it already did so when it was prepared
  kReadsAutocheckpoint,  // PRAGMA wal_autocheckpoint
  // PRAGMA journal_mode=X but wal, locking_mode=X but normal: own connections close before it.
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

// Whether such a PRAGMA sets the value 0, written as a program writes a 0 that it has read.
bool SetsAutocheckpointToZero(const char* sql);

}  // namespace walmanager
