# SPDX-License-Identifier: LGPL-2.1-or-later
# One file that needs no library and no dynamic linker: -DIPCBOX_STATIC=ON. It runs on any distribution, at any
# address (static-pie). `cpack` packs it with all that belongs to it; cmake/tarball does both.

# check_pie_supported() has set what links a position-independent program; this one has no interpreter.
set(CMAKE_C_LINK_OPTIONS_PIE -static-pie)
target_compile_definitions(ipcbox_flags INTERFACE IPCBOX_STATIC)

# ipcbox_static_pkg(VAR module): the target PkgConfig::VAR, with the archives of all that pkg-config names.
function(ipcbox_static_pkg var module)
  if(TARGET PkgConfig::${var})
    return()
  endif()
  pkg_check_modules(${var} REQUIRED ${module})
  set(archives "")
  foreach(name ${${var}_STATIC_LIBRARIES})
    # These are parts of the C library.
    if(name MATCHES "^(pthread|dl|rt|m)$")
      continue()
    endif()
    find_library(IPCBOX_ARCHIVE_${name} lib${name}.a HINTS ${IPCBOX_ARCHIVES} ${${var}_STATIC_LIBRARY_DIRS})
    if(NOT IPCBOX_ARCHIVE_${name})
      message(FATAL_ERROR "${module}: there is no lib${name}.a, which IPCBOX_STATIC needs (cmake/tarball makes "
        "those that Debian 12 lacks; IPCBOX_ARCHIVES names the folder of others)")
    endif()
    list(APPEND archives ${IPCBOX_ARCHIVE_${name}})
  endforeach()
  # libbsd takes its checksums from libmd, which pkg-config does not tell.
  if(module STREQUAL "libedit")
    find_library(IPCBOX_ARCHIVE_md libmd.a)
    if(IPCBOX_ARCHIVE_md)
      list(APPEND archives ${IPCBOX_ARCHIVE_md})
    endif()
  endif()
  add_library(PkgConfig::${var} INTERFACE IMPORTED GLOBAL)
  target_include_directories(PkgConfig::${var} SYSTEM INTERFACE ${${var}_INCLUDE_DIRS})
  target_link_libraries(PkgConfig::${var} INTERFACE ${archives} Threads::Threads)
  foreach(suffix INCLUDE_DIRS LIBRARIES)
    set(${var}_${suffix} ${${var}_${suffix}} PARENT_SCOPE)
  endforeach()
endfunction()
