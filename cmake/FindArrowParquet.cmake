# Finds Arrow's C++ library with Parquet and defines the imported target Arrow::Parquet.
#
#   COHO_ARROW   auto    build/venv, then the active virtual environment, CMAKE_PREFIX_PATH, python3's packages, the system
#                none    no Parquet
#                FOLDER  a pyarrow package, a site-packages folder, a virtual environment or an installation of Arrow
#
# pip's pyarrow has the headers, and the libraries only under their versioned names. Sets ArrowParquet_FOUND,
# ArrowParquet_ROOT, and
# ArrowParquet_COMPILE_OPTIONS for single sources: a target that includes Arrow everywhere compiles slower. pyarrow is never imported.

if(NOT COHO_ARROW)
  set(COHO_ARROW auto)
endif()
if(NOT DEFINED COHO_VENV)
  set(COHO_VENV "${CMAKE_SOURCE_DIR}/build/venv")
endif()

# Appends to `out` every location that a user may mean by `folder`.
function(_arrow_candidates folder out)
  file(GLOB in_environment "${folder}/lib/python3*/site-packages/pyarrow" "${folder}/lib/python3*/dist-packages/pyarrow")
  set(${out} ${${out}} "${folder}" "${folder}/pyarrow" ${in_environment} PARENT_SCOPE)
endfunction()

set(_arrow_roots)
if(COHO_ARROW STREQUAL "auto")
  _arrow_candidates("${COHO_VENV}" _arrow_roots)
  if(DEFINED ENV{VIRTUAL_ENV})
    _arrow_candidates("$ENV{VIRTUAL_ENV}" _arrow_roots)
  endif()
  foreach(_prefix IN LISTS CMAKE_PREFIX_PATH)
    _arrow_candidates("${_prefix}" _arrow_roots)
  endforeach()
  find_program(COHO_PYTHON NAMES python3)
  mark_as_advanced(COHO_PYTHON)
  if(COHO_PYTHON)
    execute_process(
      COMMAND "${COHO_PYTHON}" -c
              "import importlib.util as u; s = u.find_spec('pyarrow'); print(s.submodule_search_locations[0] if s else '')"
      OUTPUT_VARIABLE _found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(_found)
      list(APPEND _arrow_roots "${_found}")
    endif()
  endif()
  list(APPEND _arrow_roots /usr/local /usr)
elseif(NOT COHO_ARROW STREQUAL "none")
  get_filename_component(_folder "${COHO_ARROW}" ABSOLUTE BASE_DIR "${CMAKE_SOURCE_DIR}")
  _arrow_candidates("${_folder}" _arrow_roots)
endif()

# Nothing is cached: the next configuration must see another COHO_ARROW or a new installation.
set(ArrowParquet_ROOT "")
set(ArrowParquet_COMPILE_OPTIONS)
foreach(_root IN LISTS _arrow_roots)
  if(NOT ArrowParquet_ROOT AND EXISTS "${_root}/include/parquet/arrow/reader.h")
    foreach(_name arrow parquet)
      file(GLOB _libraries "${_root}/lib${_name}${CMAKE_SHARED_LIBRARY_SUFFIX}*" "${_root}/lib/lib${_name}${CMAKE_SHARED_LIBRARY_SUFFIX}*"
           "${_root}/lib/*/lib${_name}${CMAKE_SHARED_LIBRARY_SUFFIX}*")
      list(SORT _libraries)
      list(GET _libraries 0 _lib_${_name})
    endforeach()
    if(_lib_arrow AND _lib_parquet)
      get_filename_component(ArrowParquet_ROOT "${_root}" REALPATH)
      get_filename_component(_lib_arrow "${_lib_arrow}" REALPATH)
      get_filename_component(_lib_parquet "${_lib_parquet}" REALPATH)
    endif()
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ArrowParquet REQUIRED_VARS ArrowParquet_ROOT
                                  REASON_FAILURE_MESSAGE "COHO_ARROW=${COHO_ARROW}")
if(ArrowParquet_FOUND AND NOT TARGET Arrow::Parquet)
  add_library(Arrow::Parquet INTERFACE IMPORTED)
  # /usr/include must not be named: as -isystem it would come before the compiler's own and break #include_next.
  if(NOT ArrowParquet_ROOT STREQUAL "/usr")
    target_include_directories(Arrow::Parquet SYSTEM INTERFACE "${ArrowParquet_ROOT}/include")
    set(ArrowParquet_COMPILE_OPTIONS -isystem "${ArrowParquet_ROOT}/include")
  endif()
  target_link_libraries(Arrow::Parquet INTERFACE "${_lib_parquet}" "${_lib_arrow}")
  message(STATUS "coho: Parquet by Arrow in ${ArrowParquet_ROOT}")
endif()
