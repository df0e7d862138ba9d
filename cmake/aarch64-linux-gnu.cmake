# SPDX-License-Identifier: LGPL-2.1-or-later
# A cross-build for arm64 with Debian's gcc-aarch64-linux-gnu:
#
#   cmake -S . -B build-arm64 --toolchain cmake/aarch64-linux-gnu.cmake -DIPCBOX_SYSROOT=DIR
#
# DIR holds the arm64 libraries and headers that tests/packages lists for the build, unpacked (without
# it: those that are installed here, dpkg --add-architecture arm64). Tests then run under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_STRIP aarch64-linux-gnu-strip)
set(CMAKE_C_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(IPCBOX_SYSROOT "" CACHE PATH "where the arm64 libraries and headers are")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES IPCBOX_SYSROOT)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)
if(IPCBOX_SYSROOT)
  set(CMAKE_SYSROOT ${IPCBOX_SYSROOT})
  list(APPEND CMAKE_CROSSCOMPILING_EMULATOR -L ${IPCBOX_SYSROOT})
  set(ENV{PKG_CONFIG_SYSROOT_DIR} ${IPCBOX_SYSROOT})
endif()
set(ENV{PKG_CONFIG_LIBDIR}
  ${IPCBOX_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${IPCBOX_SYSROOT}/usr/share/pkgconfig)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
if(IPCBOX_SYSROOT)
  set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
  set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
endif()
