// Results of checks and backups of a database (layout::Evidence), kept in the control file for
// system_health. Single words and texts: two processes that write at the same time leave a mixture
// of both results, which the next writer corrects.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ext/core/control/layout_evidence.h"

namespace walmanager {

struct IntegrityEvidence {
  std::int64_t at_ms = 0;  // Unix time
  bool full = false;
  std::int64_t findings = 0;
  std::int64_t duration_ns = 0;
  std::string first;  // finding; empty where there is none
};
void KeepIntegrity(layout::Evidence& evidence, const IntegrityEvidence& integrity);
std::optional<IntegrityEvidence> ReadIntegrity(const layout::Evidence& evidence);

struct BackupEvidence {
  std::int64_t at_ms = 0;  // Unix time
  std::int64_t bytes = 0;
  std::string path;
};
void KeepBackup(layout::Evidence& evidence, const BackupEvidence& backup);
std::optional<BackupEvidence> ReadBackup(const layout::Evidence& evidence);

struct StorageEvidence {
  std::int64_t at_ms = 0;  // Unix time
  std::int64_t page_count = 0, freelist_pages = 0;
};
void KeepStorage(layout::Evidence& evidence, const StorageEvidence& storage);
std::optional<StorageEvidence> ReadStorage(const layout::Evidence& evidence);

// What a program asked for by PRAGMA, whether or not SQLite did it; nullopt: nothing yet.
struct LayoutEvidence {
  std::optional<std::int64_t> page_size_wished, auto_vacuum_wished;
  std::optional<std::int64_t> auto_vacuum;  // as it was last found
};
// Keeps the values that are known; the others stay as they were.
void KeepLayout(layout::Evidence& evidence, const LayoutEvidence& found);
LayoutEvidence ReadLayout(const layout::Evidence& evidence);

// A connection with another main database has this one attached, and its statements count there.
// Times are in Unix time, here and below.
void KeepAttached(layout::Evidence& evidence, std::int64_t now_ms);
// When that was last so; 0: never, as far as is known. A time in the future is garbage.
std::int64_t LastAttachedMs(const layout::Evidence& evidence, std::int64_t now_ms);

// Takes over each result that is newer in `from`.
void TakeOverEvidence(const layout::Evidence& from, layout::Evidence& to, std::int64_t now_ms);

// Another database: nothing is known of it.
void ForgetEvidence(layout::Evidence& evidence);

}  // namespace walmanager
