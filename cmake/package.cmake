# SPDX-License-Identifier: LGPL-2.1-or-later
# A Debian package of what cmake --install installs: `cpack` in the build directory. Of a static build (IPCBOX_STATIC)
# an archive for any distribution, and with `cpack -G RPM` a package for those that use RPM.
if(IPCBOX_STATIC)
  set(CPACK_GENERATOR TXZ)
  string(REGEX REPLACE "^aarch64$" "arm64" processor ${CMAKE_SYSTEM_PROCESSOR})
  set(CPACK_PACKAGE_FILE_NAME ipcbox-${PROJECT_VERSION}-${processor})
  set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/tarball.cmake)
else()
  set(CPACK_GENERATOR DEB)
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
  # The rules of the distribution on top: stripped, compressed pages, copyright, changelog.
  set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/debian.cmake)
  set(CPACK_POST_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/debian-size.cmake)
endif()
set(CPACK_PACKAGE_NAME ipcbox)
set(CPACK_PACKAGE_VENDOR ipcbox)
set(CPACK_PACKAGE_CONTACT "ipcbox maintainers <maintainers@users.noreply.r-seed-b0487a9a.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "look into, save and replay Linux IPC")
set(CPACK_PACKAGE_DESCRIPTION
"Command-line tools for the interprocess communication of Linux:
 - mqpeek shows the messages in a POSIX or System V message queue and takes
   none, who holds the queue and who is blocked on it, and follows every
   send and receive; mqctl makes queues, sends, receives and removes;
 - fdpeek shows what waits in unix sockets and pipes, D-Bus and Varlink
   decoded;
 - ipcbox stuck tells who waits for whom, and what can never go on;
 - mqctl makes, uses and removes message queues, of POSIX and of System V;
 - mqdump saves and restores queues, records and replays their traffic, and
   lets CRIU checkpoint processes with queues;
 - b1ctl works with bus1: the kernel's, or a bus of its own that any process
   can open;
 - uringipc makes, reads and watches io_uring IPC channels.

Tables for eyes, JSON for programs. What needs a newer kernel or more
privilege says so; ipcbox doctor shows what works.")
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/cpack.cmake)
set(CPACK_IPCBOX_SOURCE_DIR ${PROJECT_SOURCE_DIR})
set(CPACK_IPCBOX_STRIP ${CMAKE_STRIP})
set(CPACK_IPCBOX_DATE ${IPCBOX_DATE})

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
if(IPCBOX_LIBEDIT)
  set(CPACK_DEBIAN_PACKAGE_DEPENDS libedit2) # which is not linked
endif()
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS fuse3)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "bash-completion, criu (>= 4.2), libcap2-bin")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_LICENSE "LGPL-2.1-or-later")
set(CPACK_RPM_PACKAGE_GROUP "System/Utilities")
set(CPACK_RPM_PACKAGE_DESCRIPTION ${CPACK_PACKAGE_DESCRIPTION})
set(CPACK_RPM_PACKAGE_AUTOREQ OFF) # it needs no library
set(CPACK_RPM_PACKAGE_RELOCATABLE OFF)
set(CPACK_RPM_SPEC_MORE_DEFINE "%define _build_id_links none")
# Folders of others, which this package shall not own.
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION /usr/share/man /usr/share/man/man1 /usr/share/man/man7
  /usr/share/zsh /usr/share/zsh/site-functions /usr/share/fish /usr/share/fish/vendor_completions.d
  /usr/share/bash-completion /usr/share/bash-completion/completions)
include(CPack)
