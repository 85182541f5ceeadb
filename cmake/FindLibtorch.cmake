# Finds libtorch and defines the imported target Libtorch::Libtorch.
#
# The configuration files that libtorch ships are not used: those of a CUDA build fail without a CUDA toolkit, and Debian's
# and the wheels' differ. Includes and libraries are enough.
#
#   COHO_LIBTORCH   auto    build/venv, then the active virtual environment, CMAKE_PREFIX_PATH, python3's packages, the system
#                   pip     build/venv, then the system (the fallback of the set-up if no Python index answers)
#                   system  the distribution's libtorch-dev
#                   FOLDER  a libtorch folder, a torch package, a site-packages folder or a virtual environment
#   COHO_CUDA       also link libtorch's CUDA part
#
# Sets Libtorch_FOUND, Libtorch_VERSION, Libtorch_ROOT, Libtorch_CUDA. torch is never imported: that would take seconds and
# needs its Python dependencies.

if(NOT COHO_LIBTORCH)
  set(COHO_LIBTORCH auto)
endif()
if(NOT DEFINED COHO_VENV)
  set(COHO_VENV "${CMAKE_SOURCE_DIR}/build/venv")
endif()

# Appends to `out` every location that a user may mean by `folder`.
function(_libtorch_candidates folder out)
  file(GLOB in_environment "${folder}/lib/python3*/site-packages/torch" "${folder}/lib/python3*/dist-packages/torch")
  set(${out} ${${out}} "${folder}" "${folder}/torch" "${folder}/libtorch" ${in_environment} "${folder}/../.." PARENT_SCOPE)
endfunction()

set(_libtorch_roots)
set(_libtorch_system ON)
if(COHO_LIBTORCH STREQUAL "system")
elseif(COHO_LIBTORCH STREQUAL "pip")
  _libtorch_candidates("${COHO_VENV}" _libtorch_roots)
elseif(COHO_LIBTORCH STREQUAL "auto")
  _libtorch_candidates("${COHO_VENV}" _libtorch_roots)
  if(DEFINED ENV{VIRTUAL_ENV})
    _libtorch_candidates("$ENV{VIRTUAL_ENV}" _libtorch_roots)
  endif()
  foreach(_prefix IN LISTS CMAKE_PREFIX_PATH)
    _libtorch_candidates("${_prefix}" _libtorch_roots)
  endforeach()
  find_program(COHO_PYTHON NAMES python3)
  mark_as_advanced(COHO_PYTHON)
  if(COHO_PYTHON)
    execute_process(
      COMMAND "${COHO_PYTHON}" -c
              "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
      OUTPUT_VARIABLE _found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(_found)
      list(APPEND _libtorch_roots "${_found}")
    endif()
  endif()
else()
  get_filename_component(_folder "${COHO_LIBTORCH}" ABSOLUTE BASE_DIR "${CMAKE_SOURCE_DIR}")
  _libtorch_candidates("${_folder}" _libtorch_roots)
  set(_libtorch_system OFF)
endif()

set(Libtorch_ROOT "")
foreach(_root IN LISTS _libtorch_roots)
  if(EXISTS "${_root}/include/ATen/ATen.h" AND EXISTS "${_root}/lib/libtorch_cpu${CMAKE_SHARED_LIBRARY_SUFFIX}")
    get_filename_component(Libtorch_ROOT "${_root}" REALPATH)
    break()
  endif()
endforeach()

# Nothing is cached: the next configuration must see another COHO_LIBTORCH or a new installation.
if(Libtorch_ROOT)
  set(_include "${Libtorch_ROOT}/include")
  foreach(_name torch_cpu c10 torch_cuda c10_cuda)
    set(_lib_${_name} "${Libtorch_ROOT}/lib/lib${_name}${CMAKE_SHARED_LIBRARY_SUFFIX}")
    if(NOT EXISTS "${_lib_${_name}}")
      set(_lib_${_name} "_lib_${_name}-NOTFOUND")
    endif()
  endforeach()
elseif(_libtorch_system)
  find_path(_include ATen/ATen.h NO_CACHE)
  foreach(_name torch_cpu c10 torch_cuda c10_cuda)
    find_library(_lib_${_name} ${_name} NO_CACHE)
  endforeach()
  if(_include)
    get_filename_component(Libtorch_ROOT "${_include}" DIRECTORY)
  endif()
endif()

# The version: three macros, in a header that has moved between versions.
set(Libtorch_VERSION "")
set(_api "${_include}/torch/csrc/api/include")
foreach(_header "${_include}/torch/headeronly/version.h" "${_api}/torch/version.h" "${_include}/torch/version.h")
  if(NOT Libtorch_VERSION AND EXISTS "${_header}")
    file(STRINGS "${_header}" _lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
    list(TRANSFORM _lines REPLACE ".* ([0-9]+).*" "\\1")
    list(JOIN _lines "." Libtorch_VERSION)
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch REQUIRED_VARS _lib_torch_cpu _lib_c10 _include VERSION_VAR Libtorch_VERSION
                                  REASON_FAILURE_MESSAGE "COHO_LIBTORCH=${COHO_LIBTORCH}")

if(Libtorch_FOUND AND NOT TARGET Libtorch::Libtorch)
  find_package(Threads REQUIRED)
  get_filename_component(_lib_folder "${_lib_torch_cpu}" DIRECTORY)
  add_library(Libtorch::Libtorch INTERFACE IMPORTED)
  set(_directories "${_include}")
  if(EXISTS "${_api}")
    list(APPEND _directories "${_api}")
  endif()
  # /usr/include must not be named: as -isystem it would come before the compiler's own and break #include_next.
  list(REMOVE_ITEM _directories "/usr/include")
  target_include_directories(Libtorch::Libtorch SYSTEM INTERFACE ${_directories})
  target_compile_features(Libtorch::Libtorch INTERFACE cxx_std_17)
  target_link_libraries(Libtorch::Libtorch INTERFACE "${_lib_torch_cpu}" "${_lib_c10}" Threads::Threads)

  # Old wheels were built with the old string ABI, which does not link with the distribution's C++ libraries.
  set(_config "${Libtorch_ROOT}/share/cmake/Torch/TorchConfig.cmake")
  if(EXISTS "${_config}")
    file(STRINGS "${_config}" _line REGEX "_GLIBCXX_USE_CXX11_ABI=[01]")
    if(_line MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
      message(FATAL_ERROR "coho: the libtorch in ${Libtorch_ROOT} was built with the old C++ string ABI, which does not link "
                          "with this system's libraries. Use torch 2.7 or newer, or a libtorch labelled \"cxx11 ABI\".")
    endif()
  endif()

  set(Libtorch_CUDA OFF)
  set(_kind "CPU")
  if(_lib_torch_cuda)
    set(_kind "CUDA build used as CPU")
    # libtorch_cpu of a CUDA build needs libraries that pip puts into separate packages.
    target_link_options(Libtorch::Libtorch INTERFACE "LINKER:--allow-shlib-undefined")
    if(COHO_CUDA)
      find_package(CUDAToolkit QUIET)
      if(CUDAToolkit_FOUND)
        set(Libtorch_CUDA ON)
        set(_kind "CUDA, toolkit ${CUDAToolkit_VERSION}")
        # Nothing refers to a symbol of these two: the linker would drop them, and the CUDA backend with them.
        target_link_libraries(Libtorch::Libtorch INTERFACE -Wl,--no-as-needed "${_lib_torch_cuda}" "${_lib_c10_cuda}"
                                                           -Wl,--as-needed CUDA::cudart)
      else()
        message(STATUS "coho: this libtorch has CUDA but no CUDA toolkit (nvcc) was found: configuring as CPU. "
                       "Install the toolkit or set CUDAToolkit_ROOT to use the GPU.")
      endif()
    else()
      message(STATUS "coho: this libtorch has CUDA; configuring as CPU. The preset `cuda` (-DCOHO_CUDA=ON) uses the GPU.")
    endif()
  elseif(COHO_CUDA)
    message(STATUS "coho: COHO_CUDA is on but the libtorch in ${Libtorch_ROOT} is a CPU build: models will run on the CPU.")
  endif()
  message(STATUS "coho: libtorch ${Libtorch_VERSION} (${_kind}) in ${Libtorch_ROOT}")
endif()
unset(_include)
