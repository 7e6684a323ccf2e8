#include "ext/engine/log_file.h"

#include <array>

#include "ext/core/format/log_format.h"

namespace walmanager {
namespace {

// False where the file cannot be read. What lies behind its end reads as zeros.
template <std::size_t kBytes>
bool ReadAt(sqlite3_file* file, std::int64_t at, std::array<std::byte, kBytes>& bytes) {
  const int rc = file->pMethods->xRead(file, bytes.data(), kBytes, at);
  return rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ;
}

LogMatch Compare(const WalIndex& index, sqlite3_file* log) {
  std::array<std::byte, kLogHeaderBytes> header{};
  if (!ReadAt(log, 0, header)) return LogMatch::kUnreadable;
  const LogHeader log_header = DecodeLogHeader(header);
  if (index.max_frame == 0) {
    sqlite3_int64 bytes = 0;
    if (log->pMethods->xFileSize(log, &bytes) != SQLITE_OK) return LogMatch::kUnreadable;
    if (bytes == 0) return LogMatch::kEmpty;
    // A transaction that has begun to write its frames, or was rolled back, leaves a header with
    // new salts, of which the wal-index does not know. Nothing in such a log is ever copied.
    return IsEmptyLogOf(index, log_header) ? LogMatch::kSame : LogMatch::kEmpty;
  }
  std::array<std::byte, kFrameHeaderBytes> newest{};
  if (!ReadAt(log, FramePlace(index.max_frame, index.page_size), newest))
    return LogMatch::kUnreadable;
  return IsLogOf(index, log_header, DecodeFrameHeader(newest)) ? LogMatch::kSame : LogMatch::kOther;
}

}  // namespace

sqlite3_file* LogFile(sqlite3* db) {
  sqlite3_file* log = nullptr;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  return log && log->pMethods ? log : nullptr;
}

LogMatch MatchLog(const WalFile& database, sqlite3_file* log) {
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; ++i) {
    const auto index = ReadWalIndex(database);
    if (!index) return LogMatch::kUnknown;
    const LogMatch match = Compare(*index, log);
    if (match != LogMatch::kOther) return match;
    // It differs: unless the log started over between the two looks.
    const auto again = ReadWalIndex(database);
    if (again && again->salt1 == index->salt1 && again->salt2 == index->salt2 &&
        again->max_frame >= index->max_frame) {
      return LogMatch::kOther;
    }
  }
  return LogMatch::kUnknown;
}

}  // namespace walmanager
