# Settings that every target of this project shares. Nothing here is exported to users.

if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
  # CMake's own default for Release is -O3, which costs compile time and gains nothing measurable here.
  if(CMAKE_CXX_FLAGS_RELEASE STREQUAL "-O3 -DNDEBUG")
    set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG" CACHE STRING "Flags of the Release build" FORCE)
  endif()
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

  find_program(COHO_CCACHE ccache)
  mark_as_advanced(COHO_CCACHE)
  if(COHO_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    # Precompiled headers are cached only if ccache is told to trust their definitions and time stamps.
    set(CMAKE_CXX_COMPILER_LAUNCHER
        ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${COHO_CCACHE})
  endif()
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

# Warnings and private flags for this project's targets.
function(coho_own_target target)
  target_compile_options(${target} PRIVATE -Wall -Wextra)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 reports overlaps and overruns in std::string's operator+ that do not exist (its bug 105651).
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow)
  endif()
  if(COHO_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Lets ccache see through precompiled headers.
    target_compile_options(${target} PRIVATE -fpch-preprocess)
  endif()
endfunction()

# For code that instantiates the headers' templates: no conversion that may change a value. GCC 12 is the reference;
# newer versions may report more.
function(coho_strict_conversions target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -Wconversion ${ARGN})
    if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      target_compile_options(${target} PRIVATE -Werror=conversion -Werror=float-conversion)
    endif()
  endif()
endfunction()

option(COHO_UNITY_BUILD "Unity build of the larger targets: half the time of a build from scratch" ON)

# Most of a source's compile time is spent on the same headers and templates as its neighbours'. A source that must be
# compiled separately (because it sets pragmas, for example) is named after the target.
function(coho_unity_build target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${COHO_UNITY_BUILD} UNITY_BUILD_BATCH_SIZE 8)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
