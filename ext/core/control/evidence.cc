#include "ext/core/control/evidence.h"

#include "ext/core/control/shared_words.h"

namespace walmanager {
namespace {

void PutSigned(layout::Counter& word, std::int64_t value) {
  Put(word, static_cast<std::uint64_t>(value));
}
std::int64_t GetSigned(const layout::Counter& word) { return static_cast<std::int64_t>(Get(word)); }

// The time is written last and read first. Release and acquire: a reader that sees it sees what was
// found at that time, or later.
void PutTime(layout::Counter& word, std::int64_t at_ms) {
  word.store(static_cast<std::uint64_t>(at_ms), std::memory_order_release);
}
std::int64_t GetTime(const layout::Counter& word) {
  return static_cast<std::int64_t>(word.load(std::memory_order_acquire));
}

}  // namespace

void KeepIntegrity(layout::Evidence& evidence, const IntegrityEvidence& integrity) {
  Put(evidence.integrity_full, integrity.full ? 1 : 0);
  PutSigned(evidence.integrity_findings, integrity.findings);
  PutSigned(evidence.integrity_ns, integrity.duration_ns);
  PutText(evidence.integrity_first, integrity.first);
  PutTime(evidence.integrity_ms, integrity.at_ms);
}

std::optional<IntegrityEvidence> ReadIntegrity(const layout::Evidence& evidence) {
  const std::int64_t at_ms = GetTime(evidence.integrity_ms);
  if (at_ms == 0) return std::nullopt;
  return IntegrityEvidence{at_ms, Get(evidence.integrity_full) != 0,
                           GetSigned(evidence.integrity_findings), GetSigned(evidence.integrity_ns),
                           GetText(evidence.integrity_first)};
}

void KeepBackup(layout::Evidence& evidence, const BackupEvidence& backup) {
  PutSigned(evidence.backup_bytes, backup.bytes);
  PutText(evidence.backup_path, backup.path);
  PutTime(evidence.backup_ms, backup.at_ms);
}

std::optional<BackupEvidence> ReadBackup(const layout::Evidence& evidence) {
  const std::int64_t at_ms = GetTime(evidence.backup_ms);
  if (at_ms == 0) return std::nullopt;
  return BackupEvidence{at_ms, GetSigned(evidence.backup_bytes), GetText(evidence.backup_path)};
}

void KeepStorage(layout::Evidence& evidence, const StorageEvidence& storage) {
  PutSigned(evidence.page_count, storage.page_count);
  PutSigned(evidence.freelist_pages, storage.freelist_pages);
  PutTime(evidence.storage_ms, storage.at_ms);
}

std::optional<StorageEvidence> ReadStorage(const layout::Evidence& evidence) {
  const std::int64_t at_ms = GetTime(evidence.storage_ms);
  if (at_ms == 0) return std::nullopt;
  return StorageEvidence{at_ms, GetSigned(evidence.page_count), GetSigned(evidence.freelist_pages)};
}

void KeepLayout(layout::Evidence& evidence, const LayoutEvidence& found) {
  const auto keep = [](layout::Counter& word, const std::optional<std::int64_t>& value) {
    if (value) PutSigned(word, *value + 1);
  };
  keep(evidence.page_size_wished, found.page_size_wished);
  keep(evidence.auto_vacuum_wished, found.auto_vacuum_wished);
  keep(evidence.auto_vacuum, found.auto_vacuum);
}

LayoutEvidence ReadLayout(const layout::Evidence& evidence) {
  const auto read = [](const layout::Counter& word, std::uint64_t most) {
    const std::uint64_t value = Get(word);
    return value >= 1 && value <= most + 1 ? std::optional(static_cast<std::int64_t>(value) - 1)
                                           : std::nullopt;
  };
  return {read(evidence.page_size_wished, 65'536), read(evidence.auto_vacuum_wished, 2),
          read(evidence.auto_vacuum, 2)};
}

void KeepAttached(layout::Evidence& evidence, std::int64_t now_ms) {
  if (now_ms > LastAttachedMs(evidence, now_ms)) PutSigned(evidence.attached_ms, now_ms);
}

std::int64_t LastAttachedMs(const layout::Evidence& evidence, std::int64_t now_ms) {
  constexpr std::int64_t kClocksDifferMs = 1000;
  const std::int64_t last_ms = GetSigned(evidence.attached_ms);
  return last_ms > now_ms + kClocksDifferMs ? 0 : last_ms;
}

void TakeOverEvidence(const layout::Evidence& from, layout::Evidence& to, std::int64_t now_ms) {
  const auto is_newer = [](const auto& one, const auto& other) {
    return one && (!other || one->at_ms > other->at_ms);
  };
  const auto integrity = ReadIntegrity(from);
  if (is_newer(integrity, ReadIntegrity(to))) KeepIntegrity(to, *integrity);
  const auto backup = ReadBackup(from);
  if (is_newer(backup, ReadBackup(to))) KeepBackup(to, *backup);
  const auto storage = ReadStorage(from);
  if (is_newer(storage, ReadStorage(to))) KeepStorage(to, *storage);
  KeepLayout(to, ReadLayout(from));
  const std::int64_t attached_ms = LastAttachedMs(from, now_ms);
  if (attached_ms > LastAttachedMs(to, now_ms)) PutSigned(to.attached_ms, attached_ms);
}

void ForgetEvidence(layout::Evidence& evidence) {
  Put(evidence.integrity_ms, 0);
  Put(evidence.backup_ms, 0);
  Put(evidence.storage_ms, 0);
  for (layout::Counter* word : {&evidence.page_size_wished, &evidence.auto_vacuum_wished,
                                &evidence.auto_vacuum, &evidence.attached_ms}) {
    Put(*word, 0);
  }
}

}  // namespace walmanager
