# SPDX-License-Identifier: MIT
# cmake -DCMAKE_TOOLCHAIN_FILE=.../share/ufork/toolchain.cmake
get_filename_component(UFORK_ROOT "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER "${UFORK_ROOT}/bin/ufork-cc")
set(CMAKE_ASM_COMPILER "${UFORK_ROOT}/bin/ufork-cc")
set(CMAKE_SYSROOT "")
set(CMAKE_FIND_ROOT_PATH "${UFORK_ROOT}/sysroot")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# Images are static; there is nothing to load at run time.
set(BUILD_SHARED_LIBS OFF CACHE BOOL "")
set(CMAKE_SHARED_LIBRARY_LINK_C_FLAGS "")
set_property(GLOBAL PROPERTY TARGET_SUPPORTS_SHARED_LIBS FALSE)
# What ctest and try_run start runs on uFork, which shows it the sources and where it is started.
set(CMAKE_CROSSCOMPILING_EMULATOR "${UFORK_ROOT}/bin/ufork;run;--dir=${CMAKE_SOURCE_DIR};--here")
