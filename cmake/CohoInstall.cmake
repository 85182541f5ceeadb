# `cmake --install`: the headers, the package configuration and, if it was built, the trainer with its recipes.
include(CMakePackageConfigHelpers)

set(coho_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/coho")
install(TARGETS coho EXPORT coho_targets FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT coho_targets NAMESPACE coho:: FILE coho-targets.cmake DESTINATION "${coho_package_dir}")

# The torch headers are always installed; the user's find_package(coho COMPONENTS torch) creates their target, with the
# user's libtorch.
install(DIRECTORY include/coho/torch DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/coho" FILES_MATCHING PATTERN "*.hpp")

configure_package_config_file(cmake/coho-config.cmake.in "${PROJECT_BINARY_DIR}/coho-config.cmake"
                              INSTALL_DESTINATION "${coho_package_dir}")
# As docs/versions.md promises: before 1.0 a minor version may break what used the one before it.
set(coho_compatibility SameMajorVersion)
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(coho_compatibility SameMinorVersion)
endif()
write_basic_package_version_file("${PROJECT_BINARY_DIR}/coho-config-version.cmake" COMPATIBILITY ${coho_compatibility}
                                                                                   ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/coho-config.cmake" "${PROJECT_BINARY_DIR}/coho-config-version.cmake"
              cmake/FindLibtorch.cmake DESTINATION "${coho_package_dir}")

# pkg-config: eigen3 has its own file; range-v3 does not, so its folder is named unless compilers search it anyway.
get_target_property(coho_range_directories range-v3::range-v3 INTERFACE_INCLUDE_DIRECTORIES)
set(coho_range_flags "")
foreach(directory IN LISTS coho_range_directories)
  if(IS_DIRECTORY "${directory}" AND NOT directory IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    string(APPEND coho_range_flags " -isystem ${directory}")
  endif()
endforeach()
set(coho_pkgconfig_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")
# The prefix is relative to the file, so that an installation can be moved.
file(RELATIVE_PATH coho_pkgconfig_prefix "/prefix/${coho_pkgconfig_dir}" "/prefix")
string(REGEX REPLACE "/$" "" coho_pkgconfig_prefix "${coho_pkgconfig_prefix}")
configure_file(cmake/coho.pc.in "${PROJECT_BINARY_DIR}/coho.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/coho.pc" DESTINATION "${coho_pkgconfig_dir}")

install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
