# Functions that declare this project's targets: sdar_cc_library (one per room), sdar_cc_binary, sdar_cc_test and
# sdar_py_test.

function(sdar_compile_options target)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wshadow -Wconversion>)
  if(SDAR_WERROR)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
  endif()
  sdar_sanitize(${target})
endfunction()

# What tests spend their time in. Under a sanitizer these are compiled with -O1, all else with -O0, which takes less time
# (server/http with AddressSanitizer alone: 11 s of processor time instead of 27). So are the tests of a release build.
set(SDAR_COMPUTING_TARGETS
  sdar_checkpoint sdar_common sdar_cuda_on_host sdar_diffusion sdar_engine sdar_grammar_automaton sdar_grammar_regular
  sdar_grammar_schema sdar_jinja sdar_kernels sdar_model sdar_parallel
  sdar_request sdar_schedule sdar_step sdar_text
  common_test cuda_on_host_test cuda_test diffusion_test kernels_test model_cuda_on_host_test model_cuda_test model_test
  schedule_test text_test)

# Applies SDAR_SANITIZE to a target; also used for generated code, which takes none of the warning flags.
function(sdar_sanitize target)
  if(SDAR_SANITIZE STREQUAL "address")
    # Left out: what AddressSanitizer sees as well; with them a unit took 32 s to compile, without them 23 (GCC).
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize=null,object-size,vptr
                                             -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  elseif(SDAR_SANITIZE STREQUAL "thread")
    # GCC says that TSan does not model atomic_thread_fence; abseil's headers contain one. Its -Wmaybe-uninitialized
    # takes members of an empty std::optional for read once the code is instrumented.
    target_compile_options(${target} PRIVATE -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan
                                             -Wno-maybe-uninitialized)
    target_link_options(${target} PUBLIC -fsanitize=thread)
  elseif(SDAR_SANITIZE)
    message(FATAL_ERROR "SDAR_SANITIZE is '${SDAR_SANITIZE}'; expected empty, 'address' or 'thread'")
  endif()
  if(SDAR_SANITIZE AND target IN_LIST SDAR_COMPUTING_TARGETS)
    target_compile_options(${target} PRIVATE -O1)
  endif()
  if(SDAR_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# Compiles a test with tests/precompiled.h before all its files, where files are compiled together. The first test
# compiles the header and the others take what that made, so all need the same flags. GCC forgets which part of a
# precompiled header came from the system and warns of what it inlines from there: tests do without these warnings, and
# rooms without such a header.
function(sdar_precompile_test target)
  if(NOT CMAKE_UNITY_BUILD)
    return()
  endif()
  target_link_libraries(${target} PRIVATE sdar::common) # most rooms bring its flags, and -pthread
  target_compile_options(${target} PRIVATE -pthread)
  target_compile_options(${target} PRIVATE
    $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess> # ccache asks for it
    $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>)
  set(property SDAR_PRECOMPILED_BY)
  if(target IN_LIST SDAR_COMPUTING_TARGETS) # other flags, another header
    set(property SDAR_PRECOMPILED_WITH_O1_BY)
  endif()
  get_property(owner GLOBAL PROPERTY ${property})
  if(owner)
    target_precompile_headers(${target} REUSE_FROM ${owner})
  else()
    target_precompile_headers(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/precompiled.h)
    set_property(GLOBAL PROPERTY ${property} ${target})
  endif()
endfunction()

# sdar_cc_library(NAME room HDRS ... SRCS ... DEPS ...): one room; DEPS are the arrows of docs/design.md.
function(sdar_cc_library)
  cmake_parse_arguments(ARG "" "NAME" "HDRS;SRCS;DEPS" ${ARGN})
  set(target sdar_${ARG_NAME})
  add_library(${target} STATIC ${ARG_HDRS} ${ARG_SRCS})
  add_library(sdar::${ARG_NAME} ALIAS ${target})
  target_link_libraries(${target} PUBLIC ${ARG_DEPS})
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
  sdar_compile_options(${target})
endfunction()

# sdar_cc_binary(NAME program SRCS ... DEPS ...): a program in build/PRESET/bin.
function(sdar_cc_binary)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS})
  sdar_compile_options(${ARG_NAME})
endfunction()

# sdar_cc_test(NAME test SRCS ... DEPS ... [PREFIX text] [LABELS label] [RANKS n ...] [SOAK] [GPU]): with RANKS the whole test
# program runs under mpirun once per rank count; without, each of its tests is a ctest of its own. Under a sanitizer, where a
# process takes long to start, the whole program is one. With SOAK the program is one test labelled `soak` that only `ctest -C Soak` runs. PREFIX tells apart tests that several programs have.
# The label is `unit` unless another is given; `concurrency` has the tests run under TSan as well, `slow` not under ASan.
# One label only: gtest_discover_tests passes no lists on. Tests are shown no GPU unless they say GPU, so that
# --device=auto means the same everywhere.
function(sdar_cc_test)
  cmake_parse_arguments(ARG "SOAK;GPU" "NAME;PREFIX" "SRCS;DEPS;LABELS;RANKS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_compile_definitions(${ARG_NAME} PRIVATE
    SDAR_SOURCE_DIR="${PROJECT_SOURCE_DIR}" SDAR_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  if(SDAR_SANITIZE STREQUAL "thread")
    target_sources(${ARG_NAME} PRIVATE ${PROJECT_SOURCE_DIR}/tests/tsan_mutex.cc)
    target_link_libraries(${ARG_NAME} PRIVATE absl::synchronization ${CMAKE_DL_LIBS})
  endif()
  sdar_compile_options(${ARG_NAME})
  # Under ASan http_test compiles in 56 s of processor time with checks for undefined behaviour and in 47 s without. The libraries
  # keep those checks.
  if(ARG_NAME IN_LIST SDAR_COMPUTING_TARGETS)
    target_compile_options(${ARG_NAME} PRIVATE $<$<CONFIG:Release>:-O1>)
  else()
    target_compile_options(${ARG_NAME} PRIVATE $<$<CONFIG:Release>:-O0>)
  endif()
  if(SDAR_SANITIZE STREQUAL "address")
    target_compile_options(${ARG_NAME} PRIVATE -fno-sanitize=undefined)
  endif()
  # GCC's -Wconversion leaves it out in C++.
  target_compile_options(${ARG_NAME} PRIVATE $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>)
  sdar_precompile_test(${ARG_NAME})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(ARG_GPU)
    set(hidden "")
  else()
    set(hidden ENVIRONMENT CUDA_VISIBLE_DEVICES=)
  endif()
  if(ARG_SOAK)
    target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
    add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME} CONFIGURATIONS Soak)
    set_tests_properties(${ARG_NAME} PROPERTIES LABELS soak TIMEOUT 3600 ${hidden})
  elseif(SDAR_SANITIZE AND NOT ARG_RANKS)
    target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
    add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME} --gtest_brief=1)
    set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 1200 ${hidden})
  elseif(ARG_RANKS)
    target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest)
    foreach(ranks ${ARG_RANKS})
      add_test(NAME ${ARG_NAME}.ranks${ranks}
        COMMAND ${MPIRUN} --allow-run-as-root --oversubscribe --bind-to none -n ${ranks} $<TARGET_FILE:${ARG_NAME}>)
      set_tests_properties(${ARG_NAME}.ranks${ranks} PROPERTIES LABELS "${ARG_LABELS};mpi" TIMEOUT 300
        PROCESSORS 2 ${hidden})
    endforeach()
  else()
    target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
    include(GoogleTest)
    # Listing its tests loads a program and CUDA's libraries from a disk that may be cold: 6 s were seen, the default is 5.
    gtest_discover_tests(${ARG_NAME} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 TEST_PREFIX "${ARG_PREFIX}"
      PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 1200 ${hidden})
  endif()
endfunction()

# sdar_py_test(NAME test SCRIPT file [ARGS ...] [LABELS label] [CONFIG name] [RUNNER script]): a test written in Python,
# which runs in build/venv with SDAR_BIN_DIR set to the programs' folder; skipped where there is no build/venv. With CONFIG
# only `ctest -C name` runs it. RUNNER takes the place of tests/python/run.sh, and so of the environment.
function(sdar_py_test)
  cmake_parse_arguments(ARG "" "NAME;SCRIPT;LABELS;CONFIG;RUNNER" "ARGS" ${ARGN})
  set(configurations "")
  set(timeout 600)
  if(ARG_CONFIG)
    set(configurations CONFIGURATIONS ${ARG_CONFIG})
    set(timeout 3600)
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_RUNNER)
    set(ARG_RUNNER ${PROJECT_SOURCE_DIR}/tests/python/run.sh)
  endif()
  add_test(NAME ${ARG_NAME}
    COMMAND ${ARG_RUNNER} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SCRIPT} ${ARG_ARGS}
    ${configurations})
  set_tests_properties(${ARG_NAME} PROPERTIES
    LABELS ${ARG_LABELS} TIMEOUT ${timeout} SKIP_RETURN_CODE 77
    ENVIRONMENT "CUDA_VISIBLE_DEVICES=;SDAR_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};SDAR_SOURCE_DIR=${PROJECT_SOURCE_DIR}")
endfunction()

# sdar_fuzz_target(NAME target SRCS ... DEPS ...): a libFuzzer program; needs SDAR_FUZZ, clang and a sanitizer.
function(sdar_fuzz_target)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_compile_definitions(${ARG_NAME} PRIVATE SDAR_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS})
  sdar_compile_options(${ARG_NAME})
  target_link_options(${ARG_NAME} PRIVATE -fsanitize=fuzzer)
endfunction()
