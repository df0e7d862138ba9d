# SPDX-License-Identifier: LGPL-2.1-or-later
# What `cmake --install` puts where: the program with a link an applet, manual pages, completions for
# three shells, the licence and what there is to read. systemd/ installs its unit itself.

# The links' names are the applets' (cmd/applets.def): one list.
file(STRINGS ${PROJECT_SOURCE_DIR}/cmd/applets.def applets REGEX "^APPLET")
list(TRANSFORM applets REPLACE "^APPLET\\(([a-z0-9]+)\\).*" "\\1")
list(REMOVE_ITEM applets ipcbox)

set(completions ${PROJECT_SOURCE_DIR}/completions)
set(bash ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
set(fish ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

install(TARGETS ipcbox)
file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.[1-8])
foreach(page ${pages})
  string(REGEX MATCH "[1-8]$" section ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
install(FILES ${completions}/_ipcbox DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
# bash and fish look for a file of the command's name; zsh reads the names in the file.
install(FILES ${completions}/ipcbox.bash DESTINATION ${bash} RENAME ipcbox)
install(FILES ${completions}/ipcbox.fish DESTINATION ${fish})
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
  ${PROJECT_SOURCE_DIR}/SECURITY.md ${PROJECT_SOURCE_DIR}/LICENSE
  DESTINATION ${CMAKE_INSTALL_DOCDIR})

# Relative, so that they hold wherever the whole is moved to.
function(install_link directory name target)
  cmake_path(ABSOLUTE_PATH directory BASE_DIRECTORY "\${CMAKE_INSTALL_PREFIX}" OUTPUT_VARIABLE where)
  install(CODE "
    set(dir \"\$ENV{DESTDIR}${where}\")
    message(STATUS \"Installing: \${dir}/${name} -> ${target}\")
    file(MAKE_DIRECTORY \"\${dir}\")
    file(REMOVE \"\${dir}/${name}\")
    file(CREATE_LINK ${target} \"\${dir}/${name}\" SYMBOLIC)
    list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"${where}/${name}\")")
endfunction()

foreach(applet ${applets})
  install_link(${CMAKE_INSTALL_BINDIR} ${applet} ipcbox)
  install_link(${bash} ${applet} ipcbox)
  install_link(${fish} ${applet}.fish ipcbox.fish)
endforeach()
