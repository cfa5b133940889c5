# Several sources are compiled as one, so many at most: most of what a file costs are headers and templates that its neighbours
# need too (44 % less CPU for src/apiserver with sanitizers). Libraries of the release build are compiled file by file, and so
# it finds an include that is missing. Names in anonymous namespaces must differ within a library or a test program; a
# program whose tables are all called kCases sets UNITY_BUILD OFF.
function(gulfstream_compile_together name at_most)
  set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${at_most})
  # g++ takes what is included for a header, where a type without linkage in one that has some would be a mistake.
  target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endfunction()

# A test's own text takes half as long to compile so, with sanitizers, and what it tests is optimized.
function(gulfstream_unoptimized name)
  if(GULFSTREAM_SANITIZE)
    target_compile_options(${name} PRIVATE -O0)
  endif()
endfunction()

# gulfstream_library(NAME SOURCES ... DEPS ...): one static library per directory.
function(gulfstream_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
  if(GULFSTREAM_SANITIZE)
    gulfstream_compile_together(${name} 8)
  endif()
endfunction()

# All test programs (and fuzzers, where there are any), and those that TSan is for.
add_custom_target(tests)
add_custom_target(threads_tests)

# What every test includes, precompiled once a preset: 6 s of a processor and 90 MB for each program otherwise.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/test_headers.cc CONTENT "")
add_library(gulfstream_test_headers OBJECT ${CMAKE_BINARY_DIR}/test_headers.cc)
target_link_libraries(gulfstream_test_headers PRIVATE fmt::fmt GTest::gtest)
target_precompile_headers(gulfstream_test_headers PRIVATE <gtest/gtest.h> <string> <vector>)
gulfstream_unoptimized(gulfstream_test_headers)

# gulfstream_test(NAME SOURCES ... DEPS ... [LABELS unit|sim|threads ...] [TIMEOUT seconds] [READS files ...]): one
# GoogleTest program per directory, one ctest entry. Label `unit` unless told otherwise. READS is what it runs or reads, so
# that it runs again when that is another (tools/dev/unless_passed).
function(gulfstream_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS;READS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  if(GULFSTREAM_SANITIZE)
    gulfstream_compile_together(${name} 8)
  else()
    gulfstream_compile_together(${name} 4)  # one file is changed at a time
  endif()
  target_precompile_headers(${name} REUSE_FROM gulfstream_test_headers)
  gulfstream_unoptimized(${name})
  add_dependencies(tests ${name})
  add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tools/dev/unless_passed ${CMAKE_BINARY_DIR}/passed/${name} $<TARGET_FILE:${name}> ${ARG_READS})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  # The TSan build makes these only.
  if("threads" IN_LIST ARG_LABELS)
    add_dependencies(threads_tests ${name})
  endif()
endfunction()

# gulfstream_bench(NAME SOURCES ... DEPS ...): a Google Benchmark program, run by `./dev bench`.
function(gulfstream_bench name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} benchmark::benchmark benchmark::benchmark_main)
endfunction()

# gulfstream_fuzzer(NAME SOURCES ... DEPS ...): a libFuzzer program in build/fuzz/fuzzers.
function(gulfstream_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(tests ${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzzers)
endfunction()
