# liblamella for apps: lamella::lamella (static) and lamella::shared, with lamella.h.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

file(GLOB capi_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/capi/*.cc")
set(parts $<TARGET_OBJECTS:lamella_engine> $<TARGET_OBJECTS:lamella_kernels>)
# Both libraries hold everything, so that an app names one file.
add_library(lamella_static STATIC ${capi_sources} ${parts})
add_library(lamella_shared SHARED ${capi_sources} ${parts})
foreach(library lamella_static lamella_shared)
  target_include_directories(${library}
    PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}"
    PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${library} PUBLIC Threads::Threads)
endforeach()
set_target_properties(lamella_static PROPERTIES OUTPUT_NAME lamella EXPORT_NAME lamella)
set_target_properties(lamella_shared PROPERTIES OUTPUT_NAME lamella EXPORT_NAME shared
  VERSION ${PROJECT_VERSION} SOVERSION 1)
target_link_options(lamella_shared PRIVATE -Wl,--gc-sections)
target_link_options(lamella_static INTERFACE -Wl,--gc-sections)

install(TARGETS lamella_static lamella_shared EXPORT lamella)
install(FILES "${CMAKE_CURRENT_SOURCE_DIR}/include/lamella.h" TYPE INCLUDE)
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/lamella")
install(EXPORT lamella NAMESPACE lamella:: FILE lamella-targets.cmake DESTINATION "${package}")
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/lamella-config.cmake"
  "include(CMakeFindDependencyMacro)\nfind_dependency(Threads)\n"
  "include(\"\${CMAKE_CURRENT_LIST_DIR}/lamella-targets.cmake\")\n")
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/lamella-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/lamella-config.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/lamella-config-version.cmake" DESTINATION "${package}")
