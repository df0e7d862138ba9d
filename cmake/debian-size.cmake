# SPDX-License-Identifier: LGPL-2.1-or-later
# Run by cpack on each package that it has made. CPack follows the links of the applets when it adds up
# Installed-Size, so the program counts once for each of them. The size is written again as
# dpkg-gencontrol(1) computes it: each file in whole KiB, and 1 KiB for everything else.
foreach(deb ${CPACK_PACKAGE_FILES})
  set(dir ${CPACK_TEMPORARY_DIRECTORY}.deb)
  file(REMOVE_RECURSE ${dir})
  execute_process(COMMAND dpkg-deb -R ${deb} ${dir} COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND find ${dir} -mindepth 1 -path ${dir}/DEBIAN -prune -o -printf "%y %s\n"
    COMMAND awk "{ kib += $1 == \"f\" ? int(($2 + 1023) / 1024) : 1 } END { printf \"%d\", kib }"
    OUTPUT_VARIABLE kib COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${dir}/DEBIAN/control control)
  string(REGEX REPLACE "Installed-Size: [0-9]+" "Installed-Size: ${kib}" control "${control}")
  file(WRITE ${dir}/DEBIAN/control "${control}")
  execute_process(COMMAND touch -d "@$ENV{SOURCE_DATE_EPOCH}" ${dir}/DEBIAN ${dir}/DEBIAN/control)
  execute_process(COMMAND dpkg-deb --root-owner-group -b ${dir} ${deb}
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE_RECURSE ${dir})
endforeach()
