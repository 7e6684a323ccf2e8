// Integers of 128 bits, an extension that g++ and clang have on all systems of 64 bits.
#pragma once

namespace walmanager {

__extension__ using Int128 = __int128;
__extension__ using UInt128 = unsigned __int128;

}  // namespace walmanager
