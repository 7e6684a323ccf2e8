#include "ext/engine/wal_index.h"

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <string>

#include "ext/engine/sqlite.h"
#include "ext/engine/watched_file.h"
#include "ext/engine/watched_log.h"

namespace walmanager {
namespace {

constexpr int kRegionBytes = 32768;
constexpr int kTries = 1000;
constexpr std::size_t kHeaderWords = kWalIndexHeaderBytes / 8;

using Words = const volatile std::uint64_t*;

// The writer fills the second copy of the header first. Reading in the other order makes sure that
// the two copies differ if a write came in between; the decoder compares them.
void CopyHeaders(Words words, std::uint64_t* copy) {
  for (std::size_t word = 0; word < kHeaderWords; ++word) copy[word] = words[word];
  // Keeps that order. Pairs with the barrier (walShmBarrier) between SQLite's two writes.
  std::atomic_thread_fence(std::memory_order_acquire);
  for (std::size_t word = kHeaderWords; word < 2 * kHeaderWords; ++word) copy[word] = words[word];
}

int LockState(sqlite3_file* file) {
  int lock = -1;
  const int rc = file->pMethods->xFileControl(file, SQLITE_FCNTL_LOCKSTATE, &lock);
  return rc == SQLITE_OK ? lock : -1;
}

bool HasSharedMemory(sqlite3_file* file) {
  return file && file->pMethods && file->pMethods->iVersion >= 2 && file->pMethods->xShmMap;
}

// Whether the pager's open journal is a log: its first bytes tell. An empty log, and a rollback
// journal that was cut to nothing and kept open, have no bytes: then the answer is whether there is
// an empty file at the log's path, since the pager of a rollback-mode database has found none
// there.
bool IsLog(sqlite3_file* journal, const char* database_name) {
  unsigned char magic[4];
  const int rc = WatchedLog::OwnMethods(journal)->xRead(journal, magic, sizeof magic, 0);
  if (rc == SQLITE_OK) return IsLogMagic(std::as_bytes(std::span(magic)));
  sqlite3_int64 bytes = -1;
  if (rc != SQLITE_IOERR_SHORT_READ || journal->pMethods->xFileSize(journal, &bytes) != SQLITE_OK ||
      bytes != 0 || !database_name) {
    return false;
  }
  struct stat status {};
  return stat((std::string(database_name) + "-wal").c_str(), &status) == 0 && status.st_size == 0;
}

}  // namespace

sqlite3_file* DatabaseFile(sqlite3* db, const char* schema) {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(db, schema, SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK)
    return nullptr;
  return file && file->pMethods ? file : nullptr;
}

sqlite3_file* DatabaseFileByName(const char* file_name) {
  sqlite3_file* file = sqlite3_database_file_object(file_name);
  return file && file->pMethods ? file : nullptr;
}

WalFile WalFile::Ask(sqlite3* db, const char* schema) {
  sqlite3_file* file = DatabaseFile(db, schema);
  // Outside of a transaction most rollback-mode databases hold no lock: the cheaper question first.
  if (!HasSharedMemory(file) || LockState(file) != SQLITE_LOCK_SHARED) return {};
  // In WAL mode the log, else the rollback journal, which need not be open.
  sqlite3_file* journal = nullptr;
  if (sqlite3_file_control(db, schema, SQLITE_FCNTL_JOURNAL_POINTER, &journal) != SQLITE_OK ||
      !journal || !journal->pMethods || !IsLog(journal, sqlite3_db_filename(db, schema))) {
    return {};
  }
  return WalFile(file);
}

bool HeaderSaysWal(sqlite3* db, const char* schema) {
  // https://www.sqlite.org/fileformat.html, section 1.3.3: 2 and 2 for WAL.
  constexpr int kVersionsAt = 18;
  unsigned char versions[2] = {0, 0};
  sqlite3_file* file = DatabaseFile(db, schema);
  return file &&
         WatchedFile::OwnMethods(file)->xRead(file, versions, 2, kVersionsAt) == SQLITE_OK &&
         versions[0] == 2 && versions[1] == 2;
}

std::uint32_t PageBytesInHeader(sqlite3* db, const char* schema) {
  // https://www.sqlite.org/fileformat.html, section 1.3.2: big-endian, and 1 stands for 65536.
  constexpr int kPageSizeAt = 16;
  constexpr std::uint32_t kLeast = 512, kMost = 65536;
  unsigned char size[2] = {0, 0};
  sqlite3_file* file = DatabaseFile(db, schema);
  if (!file || WatchedFile::OwnMethods(file)->xRead(file, size, 2, kPageSizeAt) != SQLITE_OK) {
    return 0;
  }
  const std::uint32_t bytes = size[0] * 256U + size[1];
  if (bytes == 1) return kMost;
  return bytes >= kLeast && (bytes & (bytes - 1)) == 0 ? bytes : 0;
}

const volatile void* MapWalIndex(const WalFile& log) {
  sqlite3_file* file = log.file();
  if (!HasSharedMemory(file) || LockState(file) != SQLITE_LOCK_SHARED) return nullptr;
  void volatile* region = nullptr;
  const sqlite3_io_methods* methods = WatchedFile::OwnMethods(file);
  if (methods->xShmMap(file, 0, kRegionBytes, 0, &region) != SQLITE_OK) return nullptr;
  return region;
}

std::optional<WalIndex> ReadWalIndex(const WalFile& log) {
  const Words words = static_cast<Words>(MapWalIndex(log));
  if (!words) return std::nullopt;
  std::array<std::uint64_t, kWalIndexSnapshotBytes / 8> copy;
  for (int i = 0; i < kTries; ++i) {
    CopyHeaders(words, copy.data());
    // Keeps the reading below after the header was read: else the rest could be of the log before,
    // read before the log started over, and the look below would not find that out.
    std::atomic_thread_fence(std::memory_order_acquire);
    for (std::size_t word = 2 * kHeaderWords; word < copy.size(); ++word) copy[word] = words[word];
    // Compare the header once more, so that the rest of the copy belongs to the same log.
    std::atomic_thread_fence(std::memory_order_acquire);
    std::uint64_t differs = 0;
    for (std::size_t word = 0; word < kHeaderWords; ++word) differs |= copy[word] ^ words[word];
    if (differs != 0) continue;
    if (auto index = DecodeWalIndex(std::as_bytes(std::span(copy)))) return index;
  }
  return std::nullopt;
}

std::optional<LogEnd> ReadLogEnd(const WalFile& log) {
  const Words words = static_cast<Words>(MapWalIndex(log));
  if (!words) return std::nullopt;
  std::array<std::uint64_t, 2 * kHeaderWords> copy;
  for (int i = 0; i < kTries; ++i) {
    CopyHeaders(words, copy.data());
    if (auto end = DecodeLogEnd(std::as_bytes(std::span(copy)))) return end;
  }
  return std::nullopt;
}

}  // namespace walmanager
