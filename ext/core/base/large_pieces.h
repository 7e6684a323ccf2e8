// Moves in large pieces what the engine reads and writes page by page: for a connection of the
// extension that goes once through a whole file. A system call per page is most of what a copy
// costs.
//
// Only for a file whose content cannot change beneath it: a file that no other connection has open,
// or a database in WAL mode while the connection holds one snapshot. Of such a database the engine
// reads from the file only pages that no checkpoint may write before the snapshot ends
// (https://www.sqlite.org/walformat.html, section 2.4).
// Thread rules: those of the file.
#pragma once

#include <cstdint>
#include <memory>

namespace walmanager {

// A file as the engine's VFS gives it. All return 0 or the engine's result code.
class PagedFile {
 public:
  virtual ~PagedFile() = default;
  virtual int Read(void* to, int bytes, std::int64_t at) = 0;
  virtual int Write(const void* from, int bytes, std::int64_t at) = 0;
  virtual int Truncate(std::int64_t size) = 0;
  virtual int Size(std::int64_t* size) = 0;
};

class LargePieces {
 public:
  explicit LargePieces(std::unique_ptr<PagedFile> file) : file_(std::move(file)) {}
  LargePieces(const LargePieces&) = delete;
  LargePieces& operator=(const LargePieces&) = delete;

  // As the functions of the file. Written bytes reach the file later, with the next piece or at
  // Flush(). If that write fails, every later call returns the error, since bytes are missing.
  int Read(void* to, int bytes, std::int64_t at);
  int Write(const void* from, int bytes, std::int64_t at);
  int Truncate(std::int64_t size);
  // Call it before any other code looks at the file's content or size.
  int Flush();

 private:
  struct Piece {
    std::unique_ptr<unsigned char[]> memory{};
    std::int64_t at = 0;
    int bytes = 0;
    std::int64_t end() const { return at + bytes; }
  };
  static bool HasMemory(Piece& piece);
  bool ReadAhead(int bytes, std::int64_t at);

  const std::unique_ptr<PagedFile> file_;
  Piece ahead_, gathered_;
  std::int64_t last_at_ = 0, last_end_ = 0;  // of the last read that went to the file as it was
  int failed_ = 0;
};

}  // namespace walmanager
