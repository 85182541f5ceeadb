# A user's program without CMake: cmake -DPKG_CONFIG=… -DCOMPILER=… -DLAUNCHER=… -DPREFIX=… -DVERSION=… -DPROGRAM=… -P this
set(ENV{PKG_CONFIG_PATH} "${PREFIX}/share/pkgconfig")
execute_process(COMMAND "${PKG_CONFIG}" --modversion coho OUTPUT_VARIABLE version OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
if(NOT version STREQUAL VERSION)
  message(FATAL_ERROR "pkg-config says that coho is ${version}, not ${VERSION}")
endif()

execute_process(COMMAND "${PKG_CONFIG}" --cflags coho OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${flags}")
execute_process(COMMAND ${LAUNCHER} "${COMPILER}" -std=c++20 ${flags} -c "${CMAKE_CURRENT_LIST_DIR}/consumer.cpp" -o "${PROGRAM}.o"
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${COMPILER}" "${PROGRAM}.o" -o "${PROGRAM}" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${PROGRAM}" COMMAND_ERROR_IS_FATAL ANY)
