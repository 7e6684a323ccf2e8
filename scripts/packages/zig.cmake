# A toolchain for scripts/release, which sets WALMANAGER_ZIG: the folder of the programs cc, c++, ar and
# ranlib for one target (cross_compiler.py makes them).
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES WALMANAGER_ZIG WALMANAGER_PROCESSOR)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${WALMANAGER_PROCESSOR})
foreach(language C CXX)
  set(CMAKE_${language}_FLAGS_RELEASE_INIT "-O2 -g -DNDEBUG")
endforeach()
set(CMAKE_C_COMPILER ${WALMANAGER_ZIG}/cc)
set(CMAKE_CXX_COMPILER ${WALMANAGER_ZIG}/c++)
set(CMAKE_AR ${WALMANAGER_ZIG}/ar CACHE FILEPATH "")
set(CMAKE_RANLIB ${WALMANAGER_ZIG}/ranlib CACHE FILEPATH "")
# For musl zig links programs statically, and such a program loads no library.
set(CMAKE_EXE_LINKER_FLAGS_INIT -dynamic)
# What CMake tries out is compiled and not linked: zig builds the C++ library for the first link. It does so as that link
# asks, so for size.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_MODULE_LINKER_FLAGS_INIT -Os)
# Of this machine nothing is used but the programs. Headers come from WALMANAGER_HEADERS.
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
