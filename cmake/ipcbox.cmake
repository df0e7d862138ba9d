# SPDX-License-Identifier: LGPL-2.1-or-later
# How this tree builds its parts: flags for all, and one function for each kind of target.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(ipcbox_flags INTERFACE)
target_compile_definitions(ipcbox_flags INTERFACE _GNU_SOURCE IPCBOX_VERSION="${PROJECT_VERSION}"
  IPCBOX_DATE="${IPCBOX_DATE}")
target_compile_options(ipcbox_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wundef
  -Wvla -Wcast-qual -Wwrite-strings -Wpointer-arith -Wimplicit-fallthrough -Wnull-dereference
  -Wredundant-decls)
if(IPCBOX_WERROR)
  target_compile_options(ipcbox_flags INTERFACE -Werror)
endif()
# A target with the property IPCBOX_PLAIN is built without sanitizers.
if(IPCBOX_SANITIZE)
  set(ipcbox_plain "$<BOOL:$<TARGET_PROPERTY:IPCBOX_PLAIN>>")
  target_compile_options(ipcbox_flags INTERFACE -fno-omit-frame-pointer
    "$<$<NOT:${ipcbox_plain}>:-fsanitize=${IPCBOX_SANITIZE};-fno-sanitize-recover=all>")
  target_link_options(ipcbox_flags INTERFACE
    "$<$<NOT:${ipcbox_plain}>:-fsanitize=${IPCBOX_SANITIZE}>")
endif()
if(IPCBOX_FUZZ)
  target_compile_options(ipcbox_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# ipcbox_library(NAME [SOURCES file...] [DEPENDS target...] [USES target...])
# The static library of one directory of lib/. Its headers are found only by those that name it in
# DEPENDS: a directory that reaches where it should not fails to compile. USES is for libraries whose
# headers its users do not see.
function(ipcbox_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;USES" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ipcbox_flags ${ARG_USES} PUBLIC ${ARG_DEPENDS})
endfunction()

# ipcbox_pkg(VAR module) finds a pkg-config module as the imported target PkgConfig::VAR.
macro(ipcbox_pkg var module)
  pkg_check_modules(${var} REQUIRED IMPORTED_TARGET ${module})
endmacro()
