# SPDX-License-Identifier: Apache-2.0
# What cmake --install puts where: the header, both libraries, and how others find them
# (pkg-config: dcb; CMake: find_package(dcb), then dcb::dcb or dcb::static).
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/dcb)
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES dcb.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS dcb EXPORT dcbStatic)
install(EXPORT dcbStatic NAMESPACE dcb:: FILE dcbStatic.cmake DESTINATION ${package_dir})
if(DCB_SHARED)
  install(TARGETS dcb_shared EXPORT dcbShared)
  install(EXPORT dcbShared NAMESPACE dcb:: FILE dcbShared.cmake DESTINATION ${package_dir})
endif()

configure_package_config_file(dcbConfig.cmake.in dcbConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(dcbConfigVersion.cmake VERSION ${DCB_VERSION}
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/dcbConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/dcbConfigVersion.cmake DESTINATION ${package_dir})

# The prefix is told from where dcb.pc lies: cmake --install --prefix may choose another.
file(RELATIVE_PATH DCB_PC_TO_PREFIX /prefix/${pkgconfig_dir} /prefix)
set(DCB_PC_PRIVATE_LIBS "-lstdc++ -lm -pthread")
if(DCB_OPENJPH)
  string(PREPEND DCB_PC_PRIVATE_LIBS "-lopenjph ")
  get_filename_component(openjph_dir ${OPENJPH_LIBRARY} DIRECTORY)
  if(NOT openjph_dir IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
    string(PREPEND DCB_PC_PRIVATE_LIBS "-L${openjph_dir} ")
  endif()
endif()
configure_file(dcb.pc.in dcb.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/dcb.pc DESTINATION ${pkgconfig_dir})
