# cmake -DNM=… -DPROGRAM=… -DNAME=… -P: what PROGRAM names of the library is in the inline namespace NAME, for the linker too.
execute_process(COMMAND "${NM}" "${PROGRAM}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(LENGTH "${NAME}" length)
set(expected "4coho${length}${NAME}")  # as the Itanium ABI spells it

if(NOT symbols MATCHES "version_of_secondPKN${expected}5errorE")
  message(FATAL_ERROR "${PROGRAM}: no version_of_second(coho::${NAME}::error const*) in:\n${symbols}")
endif()
string(REGEX MATCHALL "[^\n]*[^0-9]4coho[0-9][^\n]*" names "${symbols}")
foreach(name IN LISTS names)
  string(REPLACE "${expected}" "" rest "${name}")
  if(rest MATCHES "[^0-9]4coho[0-9]")
    message(FATAL_ERROR "${PROGRAM}: a name outside coho::${NAME}: ${name}")
  endif()
endforeach()
