#include "ext/connection/hook_witness.h"

#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"

namespace walmanager {

std::vector<HookWitness::File> HookWitness::Files(const std::vector<Schema>& schemas) const {
  std::vector<File> files;
  for (const Schema& schema : schemas) {
    File& file = files.emplace_back();
    file.schema = schema;
    sqlite3_file* object = DatabaseFile(db_, schema.name.c_str());
    file.pages_count = object != nullptr;
    sqlite3_file_control(db_, schema.name.c_str(), SQLITE_FCNTL_DATA_VERSION, &file.version);
  }
  return files;
}

void HookWitness::Arm(const std::vector<Schema>& schemas) {
  armed_ = false;
  if (CacheIsShared(db_)) return;
  files_ = Files(schemas);
  writes_ = DatabaseStatus(db_, SQLITE_DBSTATUS_CACHE_WRITE);
  spills_ = DatabaseStatus(db_, SQLITE_DBSTATUS_CACHE_SPILL);
  armed_ = !files_.empty();
}

bool HookWitness::Proves(const std::vector<Schema>& schemas) const {
  if (!armed_ || DatabaseStatus(db_, SQLITE_DBSTATUS_CACHE_WRITE) <= writes_) return false;
  if (DatabaseStatus(db_, SQLITE_DBSTATUS_CACHE_SPILL) != spills_ || CacheIsShared(db_))
    return false;
  const std::vector<File> now = Files(schemas);
  if (now.size() != files_.size()) return false;
  bool log_changed = false;
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i].schema.name != files_[i].schema.name || now[i].schema.log != files_[i].schema.log)
      return false;
    const bool changed = now[i].version != files_[i].version;
    if (changed && !now[i].schema.log && (now[i].pages_count || files_[i].pages_count))
      return false;
    log_changed = log_changed || (changed && now[i].schema.log);
  }
  return log_changed;
}

}  // namespace walmanager
