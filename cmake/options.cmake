# Language, warnings, sanitizers, compiler cache and linker: the same for every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")

# Everywhere, as precompiled headers are shared: some libraries ask for it.
add_compile_options(-pthread)
add_compile_options(-Wall -Wextra -Werror -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports maybe-uninitialized in coroutine frames and inlined optionals that are initialised.
  # -Wrestrict and -Warray-bounds misfire on inlined std::string code.
  add_compile_options(-Wno-maybe-uninitialized -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow)
else()
  # The standard library of g++ 12 calls its own deprecated get_temporary_buffer in stable_sort, and clang says so.
  add_compile_options(-Wno-deprecated-declarations)
endif()

if(GULFSTREAM_SANITIZE)
  add_compile_options(-fsanitize=${GULFSTREAM_SANITIZE} -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # False positive of g++ 12 on coroutine_handle::from_promise (a negative offset).
    # Null pointers are AddressSanitizer's too, and the clang build asks for both: without them here a build takes 30 % less.
    add_compile_options(-fno-sanitize=pointer-overflow,null,alignment)
  endif()
  add_link_options(-fsanitize=${GULFSTREAM_SANITIZE})
endif()
if(GULFSTREAM_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # Work trees and clones of one machine share their objects; precompiled headers are cached too.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()
