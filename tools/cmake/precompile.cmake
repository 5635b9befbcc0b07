# Heavy headers are read once for all targets of a set. A compiler cache finds less behind precompiled
# headers than it saves, so with one they are off; every file includes what it needs all the same.
if(CMAKE_CXX_COMPILER_LAUNCHER MATCHES "ccache")
  set(default OFF)
else()
  set(default ON)
endif()
option(LARDER_PRECOMPILE "Precompile the headers of GoogleTest, gRPC and CLI11" ${default})

# larder_precompiled_set(name LINKS ... HEADERS ... [PROGRAMS]): what targets of like options share;
# PROGRAMS, which are optimised little, or libraries.
function(larder_precompiled_set name)
  if(NOT LARDER_PRECOMPILE)
    return()
  endif()
  cmake_parse_arguments(ARG "PROGRAMS" "" "LINKS;HEADERS" ${ARGN})
  set(owner larder_precompiled_${name})
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled/${name}.cc CONTENT "int main() {}\n")
  if(ARG_PROGRAMS)
    add_executable(${owner} EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/precompiled/${name}.cc)
    larder_optimise_little(${owner})
  else()
    add_library(${owner} OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/precompiled/${name}.cc)
  endif()
  target_link_libraries(${owner} PRIVATE ${ARG_LINKS})
  target_precompile_headers(${owner} PRIVATE ${ARG_HEADERS})
endfunction()

function(larder_precompile target set)
  if(TARGET larder_precompiled_${set})
    target_precompile_headers(${target} REUSE_FROM larder_precompiled_${set})
  endif()
endfunction()

# Code that runs once a start, or only checks: half the time to compile is optimisation.
function(larder_optimise_little target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

if(LARDER_TESTS)
  larder_precompiled_set(test PROGRAMS LINKS GTest::gmock HEADERS <gmock/gmock.h> <gtest/gtest.h>)
endif()
if(LARDER_SERVER)
  set(grpc_headers <grpcpp/grpcpp.h> <grpcpp/ext/proto_server_reflection_plugin.h> <google/protobuf/message.h>)
  larder_precompiled_set(grpc LINKS gRPC::grpc++ HEADERS ${grpc_headers})
  larder_precompiled_set(cli PROGRAMS LINKS CLI11::CLI11 nlohmann_json::nlohmann_json
    HEADERS <CLI/CLI.hpp> <nlohmann/json.hpp>)
  if(LARDER_TESTS)
    larder_precompiled_set(grpc_test PROGRAMS LINKS gRPC::grpc++ GTest::gmock
      HEADERS <gmock/gmock.h> <gtest/gtest.h> ${grpc_headers})
  endif()
endif()
