// Any bytes as the wal-index: only a whole header is accepted, and its numbers are possible ones.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "ext/core/format/wal_index_format.h"

namespace {

void Check(std::span<const std::byte> bytes) {
  const auto index = walmanager::DecodeWalIndex(bytes);
  // The header alone is accepted or refused as in the whole wal-index.
  const auto end = walmanager::DecodeLogEnd(bytes);
  if (end && bytes.size() < 2 * walmanager::kWalIndexHeaderBytes) std::abort();
  if (bytes.size() >= walmanager::kWalIndexSnapshotBytes && end.has_value() != index.has_value())
    std::abort();
  if (!index) return;
  if (index->end().salt1 != end->salt1 || index->end().max_frame != end->max_frame) std::abort();
  if (bytes.size() < walmanager::kWalIndexSnapshotBytes) std::abort();
  if (std::memcmp(bytes.data(), bytes.data() + 48, 48) != 0) std::abort();
  const std::uint32_t page = index->page_size;
  const bool never_written = page == 0 && index->max_frame == 0;
  if (!never_written && (page < 512 || page > 65536 || (page & (page - 1)) != 0)) std::abort();
  if (index->pending() > index->max_frame) std::abort();
  if (index->complete() != (index->pending() == 0)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  Check(bytes);
  // The same with a header that is not torn, of the right version and initialised.
  if (size < 48) return 0;
  std::vector<std::byte> mended(bytes.begin(), bytes.begin() + 48);
  const std::uint32_t version = 3007000;
  std::memcpy(mended.data(), &version, sizeof version);
  mended[12] = std::byte{1};
  mended.insert(mended.end(), mended.begin(), mended.begin() + 48);
  mended.insert(mended.end(), bytes.begin() + 48, bytes.end());
  Check(mended);
  return 0;
}
