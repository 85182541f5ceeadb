# A repository of the library's files with a tag, for projects that name one. What comes after the tag does not configure, so
# only the tag will do. What the projects fetched from an earlier one is removed.
file(GLOB fetched "${CONSUMERS}/*_by_tag*/_deps")
file(REMOVE_RECURSE "${REPOSITORY}" ${fetched})
file(COPY "${SOURCE}/CMakeLists.txt" "${SOURCE}/LICENSE" "${SOURCE}/cmake" "${SOURCE}/include" DESTINATION "${REPOSITORY}")

function(git)
  execute_process(COMMAND "${GIT}" -c user.name=coho -c user.email=coho@localhost -c commit.gpgsign=false ${ARGV}
                  WORKING_DIRECTORY "${REPOSITORY}" OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
endfunction()
git(init --quiet --initial-branch=main)
git(add .)
git(commit --quiet --message "The library")
git(tag "${TAG}")
file(WRITE "${REPOSITORY}/CMakeLists.txt" "message(FATAL_ERROR \"this is not the tag ${TAG}\")\n")
git(commit --quiet --all --message "After the tag")
