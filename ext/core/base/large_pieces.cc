#include "ext/core/base/large_pieces.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace walmanager {
namespace {

// At least a page of any size, and whole pages of most; the unix VFS takes no more than 0x1ffff
// bytes at a time (https://www.sqlite.org/src/file/src/os_unix.c, seekAndWriteFd).
constexpr int kPieceBytes = 124 * 1024;
// Pages left out on the way, since they are in the log or known already, are read along.
constexpr std::int64_t kLargestGap = 64 * 1024;

bool IsNear(std::int64_t before, std::int64_t after) {
  return before <= after && after - before <= kLargestGap;
}

}  // namespace

bool LargePieces::HasMemory(Piece& piece) {
  if (!piece.memory) piece.memory.reset(new (std::nothrow) unsigned char[kPieceBytes]);
  return piece.memory != nullptr;
}

int LargePieces::Read(void* to, int bytes, std::int64_t at) {
  if (const int rc = Flush(); rc != 0) return rc;
  const auto there = [&] { return at >= ahead_.at && at + bytes <= ahead_.end(); };
  if (there() || (ReadAhead(bytes, at) && there())) {
    std::memcpy(to, ahead_.memory.get() + (at - ahead_.at), static_cast<std::size_t>(bytes));
    return 0;
  }
  last_at_ = at;
  last_end_ = at + bytes;
  return file_->Read(to, bytes, at);
}

// Reads a piece with the wanted bytes, if they follow or precede the bytes read last: a check goes
// through a table from its end. False: nothing was read.
bool LargePieces::ReadAhead(int bytes, std::int64_t at) {
  const std::int64_t end = at + bytes;
  const bool follows = IsNear(last_end_, at) || (ahead_.bytes > 0 && IsNear(ahead_.end(), at));
  const bool precedes = IsNear(end, last_at_) || (ahead_.bytes > 0 && IsNear(end, ahead_.at));
  std::int64_t size = 0;
  if ((!follows && !precedes) || bytes > kPieceBytes || !HasMemory(ahead_) ||
      file_->Size(&size) != 0 || size < end) {
    return false;
  }
  const int whole = kPieceBytes / bytes * bytes;
  ahead_.at = precedes ? std::max<std::int64_t>(0, end - whole) : at;
  ahead_.bytes = static_cast<int>(std::min<std::int64_t>(whole, size - ahead_.at));
  // An error in a part of the piece is reported to the call that reads that part.
  const int rc = file_->Read(ahead_.memory.get(), ahead_.bytes, ahead_.at);
  if (rc != 0) ahead_.bytes = 0;
  return rc == 0;
}

int LargePieces::Write(const void* from, int bytes, std::int64_t at) {
  ahead_.bytes = 0;
  const bool fits = at == gathered_.end() && bytes <= kPieceBytes - gathered_.bytes;
  if (!fits || failed_ != 0) {
    if (const int rc = Flush(); rc != 0) return rc;
    gathered_.at = at;
  }
  if (bytes > kPieceBytes || !HasMemory(gathered_)) {
    return failed_ = file_->Write(from, bytes, at);
  }
  std::memcpy(gathered_.memory.get() + gathered_.bytes, from, static_cast<std::size_t>(bytes));
  gathered_.bytes += bytes;
  return 0;
}

int LargePieces::Truncate(std::int64_t size) {
  ahead_.bytes = 0;
  const int rc = Flush();
  return rc != 0 ? rc : file_->Truncate(size);
}

int LargePieces::Flush() {
  if (failed_ != 0 || gathered_.bytes == 0) return failed_;
  const int bytes = std::exchange(gathered_.bytes, 0);
  return failed_ = file_->Write(gathered_.memory.get(), bytes, gathered_.at);
}

}  // namespace walmanager
