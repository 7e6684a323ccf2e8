// Which file is at a path. Nothing is opened. Thread rules: none.
#pragma once

#include <optional>
#include <string>

#include "ext/core/format/file_id.h"

namespace walmanager {

// nullopt where there is none, or this process may not look.
std::optional<FileId> FileIdAt(const std::string& path);

// Whether `file`, which this process has open, is the one at `path`. As long as it is open no other
// file gets its number: one stat call tells.
enum class AtPath { kSame, kOther, kUnknown };
AtPath IsAtPath(const std::string& path, const FileId& file);

}  // namespace walmanager
