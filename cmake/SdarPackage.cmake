# The Debian packages that `cpack` makes: sdar, and sdar-cuda where the CUDA backend was built.
set(SDAR_PACKAGE_CONTACT "sdar maintainers <sdar@example.org>" CACHE STRING "Maintainer of the Debian packages")
set(debian ${PROJECT_SOURCE_DIR}/deploy/debian)

# In the packages alone: a `cmake --install` of everything leaves these out.
string(TIMESTAMP SDAR_CHANGELOG_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
set(made ${PROJECT_BINARY_DIR}/debian)
configure_file(${debian}/changelog.in ${made}/changelog.Debian @ONLY)
configure_file(CHANGELOG.md ${made}/changelog COPYONLY)
foreach(file changelog.Debian changelog)
  execute_process(COMMAND gzip -9nc ${made}/${file} OUTPUT_FILE ${made}/${file}.gz COMMAND_ERROR_IS_FATAL ANY)
endforeach()
install(FILES deploy/systemd/sdar.env.example DESTINATION /etc/sdar RENAME sdar.env COMPONENT base EXCLUDE_FROM_ALL)
install(FILES ${debian}/copyright ${made}/changelog.Debian.gz ${made}/changelog.gz
  DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT base EXCLUDE_FROM_ALL)
install(FILES ${debian}/copyright ${made}/changelog.Debian.gz
  DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/sdar-cuda COMPONENT cuda EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT ${SDAR_PACKAGE_CONTACT})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL base)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_BASE_PACKAGE_NAME sdar)
set(CPACK_DEBIAN_BASE_DESCRIPTION "server for SDAR block-diffusion language models
sdar-serve answers over gRPC and OpenAI's HTTP API, on one host or several.
Other programs ask it, answer files of requests, score given tokens and look
at model folders. The systemd unit sdar.service stays off until it is enabled.")
set(CPACK_DEBIAN_BASE_PACKAGE_SHLIBDEPS ON)
# mpirun starts the ranks; adduser makes the user of the unit.
set(CPACK_DEBIAN_BASE_PACKAGE_DEPENDS "openmpi-bin, adduser")
set(CPACK_DEBIAN_BASE_PACKAGE_RECOMMENDS openssh-client)
set(CPACK_DEBIAN_BASE_PACKAGE_SUGGESTS "sdar-cuda, bash-completion")
set(CPACK_DEBIAN_BASE_PACKAGE_CONTROL_EXTRA ${debian}/conffiles ${debian}/postinst ${debian}/prerm ${debian}/postrm)

if(SDAR_WITH_CUDA)
  list(APPEND CPACK_COMPONENTS_ALL cuda)
  set(CPACK_DEBIAN_CUDA_PACKAGE_NAME sdar-cuda)
  set(CPACK_DEBIAN_CUDA_DESCRIPTION "CUDA backend of sdar
The library with which the programs of the package sdar compute on NVIDIA's
GPUs. It needs packages of NVIDIA's repository for Debian and a driver.")
  # By name: where the toolkit is no Debian package, dpkg-shlibdeps does not know whose its libraries are.
  set(CPACK_DEBIAN_CUDA_PACKAGE_SHLIBDEPS OFF)
  set(cuda ${CUDAToolkit_VERSION_MAJOR}-${CUDAToolkit_VERSION_MINOR})
  set(same ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
  set(CPACK_DEBIAN_CUDA_PACKAGE_DEPENDS "sdar (= ${same}), libc6, libcublas-${cuda}, libnccl2")
endif()
include(CPack)
