# Debian 12's packages are the floor; newer versions found on CMAKE_PREFIX_PATH are taken as well.
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(RocksDB 7.8 REQUIRED)
find_package(hwy 1.0.3 REQUIRED)
find_package(OpenMP REQUIRED)  # with BLAS, for FAISS, which trains product quantisers
find_package(BLAS REQUIRED)
find_package(faiss REQUIRED)
find_package(roaring REQUIRED)
find_package(ICU 70 REQUIRED COMPONENTS uc i18n)
find_package(OpenSSL 3 REQUIRED)
find_package(CURL REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBURING REQUIRED IMPORTED_TARGET liburing)
pkg_check_modules(GUMBO REQUIRED IMPORTED_TARGET gumbo)

# Header-only or without a CMake package of their own in Debian.
find_path(HNSWLIB_INCLUDE_DIR hnswlib/hnswlib.h REQUIRED)
find_path(ISAL_INCLUDE_DIR isa-l/crc.h REQUIRED)
find_library(ISAL_LIBRARY isal REQUIRED)
add_library(larder_isal INTERFACE)
target_include_directories(larder_isal INTERFACE ${ISAL_INCLUDE_DIR})
target_link_libraries(larder_isal INTERFACE ${ISAL_LIBRARY})

if(LARDER_SERVER)
  find_package(Protobuf 3.21 REQUIRED)
  find_package(gRPC REQUIRED CONFIG)
  find_package(CLI11 REQUIRED)
endif()

if(LARDER_TESTS)
  find_package(GTest REQUIRED)
  find_package(benchmark REQUIRED)
  find_path(HTTPLIB_INCLUDE_DIR httplib.h REQUIRED)
endif()

if(LARDER_MINILM)
  find_package(OpenVINO REQUIRED COMPONENTS Runtime
               HINTS "${LARDER_DEPS_DIR}/python/openvino/cmake")
endif()
