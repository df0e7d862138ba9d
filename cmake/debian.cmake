# SPDX-License-Identifier: LGPL-2.1-or-later
# Run by cpack on the tree that it is about to pack: what Debian's policy wants beyond an
# installation.
set(root ${CPACK_TEMPORARY_DIRECTORY}/usr)
set(doc ${root}/share/doc/ipcbox)

function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run(${CPACK_IPCBOX_STRIP} --remove-section=.comment --remove-section=.note ${root}/bin/ipcbox)

file(GLOB_RECURSE pages ${root}/share/man/*.[1-8])
file(RENAME ${doc}/CHANGELOG.md ${doc}/changelog)
execute_process(COMMAND date -u -R -d "@$ENV{SOURCE_DATE_EPOCH}" OUTPUT_VARIABLE date
  COMMAND_ERROR_IS_FATAL ANY)
file(WRITE ${doc}/changelog.Debian
"ipcbox (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium

  * Built from the upstream tree by its own CPack configuration.

 -- ${CPACK_PACKAGE_CONTACT}  ${date}")
run(gzip -9n ${pages} ${doc}/changelog ${doc}/changelog.Debian)
file(REMOVE ${doc}/LICENSE) # the copyright file names Debian's copy
configure_file(${CPACK_IPCBOX_SOURCE_DIR}/cmake/debian/copyright ${doc}/copyright COPYONLY)
configure_file(${CPACK_IPCBOX_SOURCE_DIR}/cmake/debian/lintian-overrides
  ${root}/share/lintian/overrides/ipcbox COPYONLY)

# Where Debian's zsh looks.
file(MAKE_DIRECTORY ${root}/share/zsh/vendor-completions)
file(RENAME ${root}/share/zsh/site-functions/_ipcbox ${root}/share/zsh/vendor-completions/_ipcbox)
file(REMOVE_RECURSE ${root}/share/zsh/site-functions)

# Neither the builder's umask nor the time of the build.
run(chmod -R u=rwX,go=rX ${CPACK_TEMPORARY_DIRECTORY})
run(find ${CPACK_TEMPORARY_DIRECTORY} -exec touch -h -d "@$ENV{SOURCE_DATE_EPOCH}" {} +)
