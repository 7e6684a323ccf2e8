#include "ext/wal_index.h"

#include <array>
#include <atomic>

#include "ext/sqlite.h"

namespace walmanager {
namespace {

constexpr int kRegionBytes = 32768;
constexpr int kTries = 1000;
constexpr std::size_t kHeaderWords = kWalIndexHeaderBytes / 8;

using Words = const volatile std::uint64_t*;

// The writer fills the second copy of the header first: read in the other order, and what is torn
// shows in the comparison of the two, which is the decoder's.
void CopyHeaders(Words words, std::uint64_t* copy) {
  for (std::size_t word = 0; word < kHeaderWords; ++word) copy[word] = words[word];
  std::atomic_thread_fence(std::memory_order_acquire);
  for (std::size_t word = kHeaderWords; word < 2 * kHeaderWords; ++word) copy[word] = words[word];
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

const volatile void* MapWalIndex(sqlite3_file* file) {
  if (!file || !file->pMethods || file->pMethods->iVersion < 2 || !file->pMethods->xShmMap) {
    return nullptr;
  }
  int lock = -1;
  if (file->pMethods->xFileControl(file, SQLITE_FCNTL_LOCKSTATE, &lock) != SQLITE_OK)
    return nullptr;
  if (lock != SQLITE_LOCK_SHARED) return nullptr;
  void volatile* region = nullptr;
  if (file->pMethods->xShmMap(file, 0, kRegionBytes, 0, &region) != SQLITE_OK) return nullptr;
  return region;
}

std::optional<WalIndex> ReadWalIndex(sqlite3_file* file) {
  const Words words = static_cast<Words>(MapWalIndex(file));
  if (!words) return std::nullopt;
  std::array<std::uint64_t, kWalIndexSnapshotBytes / 8> copy;
  for (int i = 0; i < kTries; ++i) {
    CopyHeaders(words, copy.data());
    for (std::size_t word = 2 * kHeaderWords; word < copy.size(); ++word) copy[word] = words[word];
    // The header once more: what stands behind it shall belong to the same log.
    std::atomic_thread_fence(std::memory_order_acquire);
    std::uint64_t differs = 0;
    for (std::size_t word = 0; word < kHeaderWords; ++word) differs |= copy[word] ^ words[word];
    if (differs != 0) continue;
    if (auto index = DecodeWalIndex(std::as_bytes(std::span(copy)))) return index;
  }
  return std::nullopt;
}

std::optional<LogEnd> ReadLogEnd(sqlite3_file* file) {
  const Words words = static_cast<Words>(MapWalIndex(file));
  if (!words) return std::nullopt;
  std::array<std::uint64_t, 2 * kHeaderWords> copy;
  for (int i = 0; i < kTries; ++i) {
    CopyHeaders(words, copy.data());
    if (auto end = DecodeLogEnd(std::as_bytes(std::span(copy)))) return end;
  }
  return std::nullopt;
}

}  // namespace walmanager
