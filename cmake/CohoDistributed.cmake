# Data-parallel runs: MPI between processes, NCCL between GPUs. Both are optional, and only the trainer links them.

# Set only for this file: flags for all files would recompile everything when a library is added or removed.
function(coho_distributed_source file)
  cmake_parse_arguments(PARSE_ARGV 1 of "" "" "DEFINITIONS;INCLUDES")
  list(TRANSFORM of_INCLUDES PREPEND "-isystem")
  set_source_files_properties(
    "${PROJECT_SOURCE_DIR}/reference_trainer/distributed/${file}"
    PROPERTIES COMPILE_DEFINITIONS "${of_DEFINITIONS}" COMPILE_OPTIONS "${of_INCLUDES}" SKIP_PRECOMPILE_HEADERS ON
               SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

option(COHO_MPI "Link MPI, if there is one, so that mpirun can start the trainer as several processes" ON)
if(COHO_MPI)
  include(CheckLanguage)
  check_language(C)
  if(CMAKE_C_COMPILER)
    enable_language(C)  # FindMPI checks the compiler of the language whose interface is requested
    find_package(MPI QUIET COMPONENTS C)
  endif()
  if(MPI_C_FOUND)
    target_link_libraries(coho_trainer PRIVATE $<LINK_ONLY:MPI::MPI_C>)
    # One file calls MPI. The C++ bindings that MPI removed in 2012 would need another library.
    coho_distributed_source(mpi_transport.cpp DEFINITIONS COHO_HAVE_MPI OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX
                            INCLUDES ${MPI_C_INCLUDE_DIRS})
    message(STATUS "coho: MPI ${MPI_C_VERSION} (mpirun: ${MPIEXEC_EXECUTABLE})")
  else()
    message(STATUS "coho: no MPI found: training runs as one process (Debian, Ubuntu: libopenmpi-dev openmpi-bin).")
  endif()
endif()

if(Libtorch_CUDA)
  # Wheels put NCCL into a package next to torch.
  get_filename_component(coho_site_packages "${Libtorch_ROOT}" DIRECTORY)
  find_path(COHO_NCCL_INCLUDE nccl.h HINTS "${coho_site_packages}/nvidia/nccl/include")
  find_library(COHO_NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS "${coho_site_packages}/nvidia/nccl/lib")
  if(COHO_NCCL_INCLUDE AND COHO_NCCL_LIBRARY)
    target_link_libraries(coho_trainer PRIVATE "${COHO_NCCL_LIBRARY}")
    coho_distributed_source(nccl.cpp DEFINITIONS COHO_HAVE_NCCL INCLUDES "${COHO_NCCL_INCLUDE}")
  else()
    message(STATUS "coho: no NCCL found: gradients on GPUs are summed over the ranks through host memory.")
  endif()
endif()
