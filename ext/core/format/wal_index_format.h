// The wal-index (-shm file) as SQLite lays it out: https://www.sqlite.org/walformat.html,
// section 2.
//
// Only what is needed to know how far the log, the checkpoint and the readers are. Other threads
// and processes write the bytes while they are read, so a header counts only if its two copies
// agree. All functions are pure: bytes in, facts out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace walmanager {

// Bytes of the wal-index that are looked at: two copies of the header and the checkpoint info.
inline constexpr std::size_t kWalIndexSnapshotBytes = 136;
inline constexpr std::size_t kWalIndexHeaderBytes = 48;
inline constexpr int kReadMarks = 5;
// The first byte range of the locks in the -shm file, and what each lock stands for, as offsets
// from it (the argument of xShmLock).
inline constexpr int kShmLockBase = 120;
inline constexpr int kWriteLock = 0;
inline constexpr int kCheckpointLock = 1;
inline constexpr int kReadLock0 = 3;

// Every frame is a page and a header of 24 bytes.
inline constexpr std::uint32_t kFrameHeaderBytes = 24;
// The log begins with a header of its own.
inline constexpr std::int64_t kLogHeaderBytes = 32;

// Whether a file that begins with these bytes is a log: its magic number, in either byte order of
// the checksums (https://www.sqlite.org/fileformat.html, section 4.1).
bool IsLogMagic(std::span<const std::byte> bytes);

// How far the log is: what every commit looks at.
struct LogEnd {
  std::uint32_t salt1 = 0;
  std::uint32_t max_frame = 0;
  // Both in one word, as the control file has them.
  std::uint64_t position() const { return std::uint64_t{salt1} << 32 | max_frame; }
  bool operator==(const LogEnd&) const = default;
};

struct WalIndex {
  std::uint32_t change_counter = 0;  // incremented by every transaction
  std::uint32_t page_size = 0;       // bytes, 512..65536; 0 before the log was first written
  std::uint32_t max_frame = 0;       // mxFrame: frames in the log, as of the last commit
  std::uint32_t database_pages = 0;  // nPage: pages in the database, as of the last commit
  std::uint32_t salt1 = 0;           // incremented each time the log starts over
  std::uint32_t salt2 = 0;
  std::array<std::uint32_t, 2> frame_checksum{};  // of the newest frame and all before it
  std::uint32_t backfill = 0;                     // nBackfill: frames moved into the database
  std::uint32_t backfill_attempted = 0;
  std::array<std::uint32_t, kReadMarks> read_marks{};

  std::uint32_t pending() const { return max_frame > backfill ? max_frame - backfill : 0; }
  bool complete() const { return backfill >= max_frame; }
  LogEnd end() const { return {salt1, max_frame}; }
  // The last frame that a reader on this mark sees. One on mark 0 reads the database alone.
  std::uint32_t Snapshot(int mark) const {
    return mark == 0 ? backfill : read_marks[static_cast<std::size_t>(mark)];
  }
};

// Decodes a snapshot of the first kWalIndexSnapshotBytes of the wal-index. nullopt where the bytes
// are torn (a writer was between the two copies: look again), not initialized, or not a wal-index.
std::optional<WalIndex> DecodeWalIndex(std::span<const std::byte> bytes);
// The same of the two copies of the header alone, the first 2 * kWalIndexHeaderBytes.
std::optional<LogEnd> DecodeLogEnd(std::span<const std::byte> bytes);

}  // namespace walmanager
