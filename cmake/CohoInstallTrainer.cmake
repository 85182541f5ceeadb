# `cmake --install` of the trainer: a program that runs from anywhere, with or without the source tree.
#
#   bin/coho          finds its libraries where it was linked to them (RPATH). Those in the source or the build tree, such as
#                     the libtorch that `make` installs into build/venv, go to lib/coho: the tree may be moved or removed.
#   share/coho        recipes, principles, prompts, shapes of models, the demo's base model.
set_target_properties(coho_executable PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/coho" INSTALL_RPATH_USE_LINK_PATH ON)

# The libraries given to the linker and their dependencies; all except those in the trees stay where they are.
set(coho_own_libraries)
foreach(folder "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
  string(REGEX REPLACE "([][+.*()^$?|\\\\])" "\\\\\\1" folder "${folder}")
  list(APPEND coho_own_libraries "^${folder}/")
endforeach()
install(
  TARGETS coho_executable
  RUNTIME_DEPENDENCIES
    DIRECTORIES "${Libtorch_ROOT}/lib"
    PRE_EXCLUDE_REGEXES "^ld-linux" "^libcuda\\.so" "^libnvidia"
    POST_INCLUDE_REGEXES ${coho_own_libraries}
    POST_EXCLUDE_REGEXES ".*"
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
  LIBRARY DESTINATION lib/coho)

foreach(folder recipes principles prompts configs demo)
  install(DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/${folder}" DESTINATION "${CMAKE_INSTALL_DATADIR}/coho"
          PATTERN "*.[ch]pp" EXCLUDE)
endforeach()
