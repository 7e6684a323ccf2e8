# The unit tests: core alone, with injected time, and the parts of ext/system that do not know SQLite.
# tests/CMakeLists.txt builds them for this machine, tests/release/CMakeLists.txt for others.
get_filename_component(tree "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
file(GLOB unit_sources CONFIGURE_DEPENDS ${tree}/tests/unit/*_test.cc)
set(system_parts own_thread process_life scheduler system_calls thread_priority)
list(TRANSFORM system_parts REPLACE "(.+)" "${tree}/ext/system/\\1.cc")
set(mapped_control mapped_control byte_lock clock disk_room size_signal system_text write_zeros)
list(TRANSFORM mapped_control REPLACE "(.+)" "${tree}/ext/system/\\1.cc")
