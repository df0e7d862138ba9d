# SPDX-License-Identifier: LGPL-2.1-or-later
# How this tree builds its parts: flags for all, and one function for each kind of target.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
include(CheckCCompilerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
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
set(ipcbox_plain "$<BOOL:$<TARGET_PROPERTY:IPCBOX_PLAIN>>")
if(IPCBOX_SANITIZE)
  target_compile_options(ipcbox_flags INTERFACE -fno-omit-frame-pointer
    "$<$<NOT:${ipcbox_plain}>:-fsanitize=${IPCBOX_SANITIZE};-fno-sanitize-recover=all>")
  target_link_options(ipcbox_flags INTERFACE
    "$<$<NOT:${ipcbox_plain}>:-fsanitize=${IPCBOX_SANITIZE}>")
endif()
# Counters in a mapped file, so that what is killed has counted too.
if(IPCBOX_COVERAGE)
  target_compile_options(ipcbox_flags INTERFACE -fprofile-instr-generate -fcoverage-mapping
    "SHELL:-mllvm -runtime-counter-relocation")
  target_link_options(ipcbox_flags INTERFACE -fprofile-instr-generate)
endif()
if(IPCBOX_FUZZ)
  target_compile_options(ipcbox_flags INTERFACE
    "$<$<NOT:${ipcbox_plain}>:-fsanitize=fuzzer-no-link>")
endif()

# Hardening, as far as the compiler knows it for this processor. What the sanitizers do better is
# left to them, and _FORTIFY_SOURCE works only on optimised code.
foreach(flag stack-protector-strong stack-clash-protection cf-protection=full)
  string(MAKE_C_IDENTIFIER HAVE_${flag} have)
  string(TOUPPER IPCBOX_${have} have)
  check_c_compiler_flag("-Werror -f${flag}" ${have})
  if(${have})
    target_compile_options(ipcbox_flags INTERFACE -f${flag})
  endif()
endforeach()
check_c_compiler_flag("-Werror -mbranch-protection=standard" IPCBOX_HAVE_BRANCH_PROTECTION)
if(IPCBOX_HAVE_BRANCH_PROTECTION)
  target_compile_options(ipcbox_flags INTERFACE -mbranch-protection=standard)
endif()
if(NOT IPCBOX_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL Debug)
  target_compile_options(ipcbox_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  # What is to be shipped shows no trace of where it was built: the same bytes anywhere.
  target_compile_options(ipcbox_flags INTERFACE
    -ffile-prefix-map=${PROJECT_SOURCE_DIR}=. -ffile-prefix-map=${PROJECT_BINARY_DIR}=.)
endif()
target_link_options(ipcbox_flags INTERFACE
  -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code)

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
  if(IPCBOX_STATIC)
    ipcbox_static_pkg(${var} ${module})
  else()
    pkg_check_modules(${var} REQUIRED IMPORTED_TARGET ${module})
  endif()
endmacro()

# ipcbox_soname(VAR LIBRARY): under which name the dynamic linker finds a shared library.
function(ipcbox_soname var library)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env LC_ALL=C ${CMAKE_READELF} -d ${library}
    OUTPUT_VARIABLE text)
  if(NOT text MATCHES "SONAME[^\n[]*\\[([^]]+)\\]")
    message(FATAL_ERROR "${library} has no name for the dynamic linker")
  endif()
  set(${var} ${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()
