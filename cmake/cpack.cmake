# SPDX-License-Identifier: LGPL-2.1-or-later
# Read by cpack before anything else: the time that stands in the package is that of the release, or
# the caller's SOURCE_DATE_EPOCH, never that of the build.
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
  execute_process(COMMAND date -u -d "${CPACK_IPCBOX_DATE}" +%s OUTPUT_VARIABLE epoch
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(ENV{SOURCE_DATE_EPOCH} ${epoch})
endif()

# What goes into an RPM lies below /usr, with the rules of cmake/tarball.cmake; the release is built in the time above.
if(CPACK_GENERATOR STREQUAL "RPM")
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
endif()
