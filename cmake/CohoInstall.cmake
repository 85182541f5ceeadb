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
write_basic_package_version_file("${PROJECT_BINARY_DIR}/coho-config-version.cmake" COMPATIBILITY SameMinorVersion
                                                                                   ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/coho-config.cmake" "${PROJECT_BINARY_DIR}/coho-config-version.cmake"
              cmake/FindLibtorch.cmake DESTINATION "${coho_package_dir}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
