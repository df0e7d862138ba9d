# SPDX-License-Identifier: LGPL-2.1-or-later
# Run by cpack on the tree of a static build before it is packed: stripped, and with no trace of who built it when.
file(GLOB program ${CPACK_TEMPORARY_DIRECTORY}/bin/ipcbox ${CPACK_TEMPORARY_DIRECTORY}/usr/bin/ipcbox)
execute_process(COMMAND ${CPACK_IPCBOX_STRIP} --remove-section=.comment ${program}
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND chmod -R u=rwX,go=rX ${CPACK_TEMPORARY_DIRECTORY} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND find ${CPACK_TEMPORARY_DIRECTORY} -exec touch -h -d @$ENV{SOURCE_DATE_EPOCH} {} +
  COMMAND_ERROR_IS_FATAL ANY)
