# What `cmake --install` puts where. The components are packages of their own (SdarPackage.cmake). `plain` is in none:
# it holds what Debian's packages have in another form.
include(GNUInstallDirs)

# What users run. sdar-bench is among them because it puts load on a server; the other benchmarks measure this code.
set(SDAR_PROGRAMS sdar-serve sdar-launch sdar-client sdar-generate sdar-score sdar-tokenize sdar-grammar sdar-checkpoint sdar-replay)
if(SDAR_BENCH)
  list(APPEND SDAR_PROGRAMS sdar-bench)
endif()
# Where FindOwnFile (common/own_files.h) looks, whatever the folder for libraries is called.
set(private_libraries ${CMAKE_INSTALL_BINDIR}/../lib/sdar)
cmake_path(NORMAL_PATH private_libraries)
string(TIMESTAMP SDAR_DATE "%Y-%m-%d" UTC) # of SOURCE_DATE_EPOCH, if that is set

install(TARGETS ${SDAR_PROGRAMS} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT base)
install(TARGETS sdar_loopback LIBRARY DESTINATION ${private_libraries} COMPONENT base)
if(SDAR_WITH_CUDA)
  install(TARGETS sdar_cuda_module LIBRARY DESTINATION ${private_libraries} COMPONENT cuda)
endif()

# Each program writes its own man page and its own completion.
set(share ${PROJECT_BINARY_DIR}/share)
foreach(program ${SDAR_PROGRAMS})
  set(page ${share}/man/man1/${program}.1.gz)
  set(completion ${share}/bash-completion/completions/${program})
  add_custom_command(
    OUTPUT ${page} ${completion}
    COMMAND ${PROJECT_SOURCE_DIR}/cmake/write_pages.sh $<TARGET_FILE:${program}> ${SDAR_DATE} ${page} ${completion}
    DEPENDS ${program} ${PROJECT_SOURCE_DIR}/cmake/write_pages.sh
    COMMENT "Writing the man page and the completion of ${program}"
    VERBATIM)
  list(APPEND pages ${page})
  list(APPEND completions ${completion})
endforeach()
add_custom_target(sdar_pages ALL DEPENDS ${pages} ${completions})
install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT base)
install(FILES ${completions} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT base)

install(FILES deploy/systemd/sdar.service DESTINATION lib/systemd/system COMPONENT base)

# The public API alone: the other messages travel between ranks of one build.
install(FILES proto/sdar/v1/generation.proto DESTINATION ${CMAKE_INSTALL_DATADIR}/sdar/proto/sdar/v1 COMPONENT base)
# Beside proto/, where the Python client looks for it.
install(FILES examples/questions.jsonl DESTINATION ${CMAKE_INSTALL_DATADIR}/sdar/examples COMPONENT base)
install(DIRECTORY examples/python examples/cpp DESTINATION ${CMAKE_INSTALL_DATADIR}/sdar/examples COMPONENT base
  FILES_MATCHING PATTERN "*.py" PATTERN "*.cc")

install(FILES README.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT base)
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT base)
install(FILES deploy/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/deploy COMPONENT base)
install(FILES deploy/systemd/sdar.env.example deploy/hostfile.example deploy/slurm/sdar.sbatch
  DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT base)
install(FILES LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT plain)
