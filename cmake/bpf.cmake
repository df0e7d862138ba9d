# SPDX-License-Identifier: LGPL-2.1-or-later
# BPF programs: source -> object -> skeleton header, and the library that loads them.

include(CheckCSourceCompiles)

# ipcbox_static_libbpf(VAR): the archives that link libbpf statically, in order, or nothing. Some builds of libelf
# want zstd and say so nowhere, so a program is linked with each candidate before it is chosen.
function(ipcbox_static_libbpf var)
  foreach(name bpf elf z zstd)
    string(TOUPPER ${name} upper)
    find_library(IPCBOX_LIB${upper}_A lib${name}.a HINTS ${LIBBPF_LIBRARY_DIRS})
  endforeach()
  set(CMAKE_REQUIRED_INCLUDES ${LIBBPF_INCLUDE_DIRS})
  set(${var} "" PARENT_SCOPE)
  foreach(extra "" ";${IPCBOX_LIBZSTD_A}")
    set(archives "${IPCBOX_LIBBPF_A};${IPCBOX_LIBELF_A};${IPCBOX_LIBZ_A}${extra}")
    if(archives MATCHES "NOTFOUND")
      continue()
    endif()
    set(CMAKE_REQUIRED_LIBRARIES ${archives})
    string(MAKE_C_IDENTIFIER "IPCBOX_STATIC_LIBBPF${extra}" works)
    check_c_source_compiles("#include <bpf/libbpf.h>
      int main(void) { return bpf_object__open(\"\") != 0; }" ${works})
    if(${works})
      set(${var} ${archives} PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# ipcbox_libbpf() makes the target "libbpf". Linked statically where the archives are there: that
# saves a third of the start of a short-lived tool.
function(ipcbox_libbpf)
  if(TARGET libbpf)
    return()
  endif()
  ipcbox_pkg(LIBBPF libbpf>=1.1)
  add_library(libbpf INTERFACE)
  ipcbox_static_libbpf(archives)
  if(archives)
    target_include_directories(libbpf SYSTEM INTERFACE ${LIBBPF_INCLUDE_DIRS})
    target_link_libraries(libbpf INTERFACE ${archives})
  else()
    target_link_libraries(libbpf INTERFACE PkgConfig::LIBBPF)
  endif()
endfunction()

# ipcbox_bpf(TARGET NAME...): NAME.bpf.c of this directory becomes "NAME.skel.h" for TARGET. The
# source finds TARGET's, lib/bpf's and lib/msgq's headers.
function(ipcbox_bpf target)
  find_program(IPCBOX_CLANG NAMES clang clang-19 clang-16 clang-14 REQUIRED)
  find_program(IPCBOX_LLVM_STRIP NAMES llvm-strip llvm-strip-19 llvm-strip-16 llvm-strip-14
    REQUIRED)
  find_program(IPCBOX_BPFTOOL bpftool PATHS /usr/sbin /sbin REQUIRED)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64)$")
    set(arch x86)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(arch arm64)
  else()
    message(FATAL_ERROR "no BPF for ${CMAKE_SYSTEM_PROCESSOR}: configure with -DIPCBOX_BPF=OFF")
  endif()
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/skel)
  file(MAKE_DIRECTORY ${dir})
  foreach(name ${ARGN})
    set(object ${dir}/${name}.bpf.o)
    add_custom_command(
      OUTPUT ${dir}/${name}.skel.h
      BYPRODUCTS ${object}
      COMMAND ${IPCBOX_CLANG} -g -O2 -target bpf -mcpu=v3 -std=gnu11 -ffreestanding -Wall -Wextra -Werror
        -Wno-unused-parameter -D__TARGET_ARCH_${arch}
        -ffile-prefix-map=${PROJECT_SOURCE_DIR}=. -fdebug-compilation-dir=.
        -I${PROJECT_SOURCE_DIR}/lib/bpf -I${PROJECT_SOURCE_DIR}/lib/msgq -I${CMAKE_CURRENT_SOURCE_DIR}
        -idirafter ${CMAKE_SYSROOT}/usr/include/${CMAKE_C_LIBRARY_ARCHITECTURE}
        -MMD -MF ${object}.d -MT ${dir}/${name}.skel.h
        -c ${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c -o ${object}
      COMMAND ${IPCBOX_LLVM_STRIP} -g ${object}
      COMMAND ${IPCBOX_BPFTOOL} gen skeleton ${object} name ${name}_bpf > ${dir}/${name}.skel.h
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c
      DEPFILE ${object}.d
      COMMENT "BPF object ${name}"
      VERBATIM)
    target_sources(${target} PRIVATE ${dir}/${name}.skel.h)
    list(APPEND skeletons ${dir}/${name}.skel.h)
    set_property(GLOBAL APPEND PROPERTY IPCBOX_BPF_OBJECTS ${object})
  endforeach()
  # A target for those that need the objects and not the library: see ipcbox_bpf_names().
  add_custom_target(${target}_bpf DEPENDS ${skeletons})
  add_dependencies(${target} ${target}_bpf)
  set_property(GLOBAL APPEND PROPERTY IPCBOX_BPF_TARGETS ${target}_bpf)
  target_include_directories(${target} SYSTEM PRIVATE ${dir})
endfunction()

# ipcbox_bpf_names(TARGET): "bpf_names.h" for TARGET: the names of all types in all BPF programs that were
# declared before, a string each.
function(ipcbox_bpf_names target)
  get_property(objects GLOBAL PROPERTY IPCBOX_BPF_OBJECTS)
  get_property(targets GLOBAL PROPERTY IPCBOX_BPF_TARGETS)
  set(names ${CMAKE_CURRENT_BINARY_DIR}/names/bpf_names.h)
  add_custom_command(
    OUTPUT ${names}
    COMMAND sh ${PROJECT_SOURCE_DIR}/cmake/bpf-names.sh ${IPCBOX_BPFTOOL} ${names} ${objects}
    DEPENDS ${targets} ${objects} ${PROJECT_SOURCE_DIR}/cmake/bpf-names.sh
    COMMENT "Names of types in BPF programs"
    VERBATIM)
  target_sources(${target} PRIVATE ${names})
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/names)
endfunction()
