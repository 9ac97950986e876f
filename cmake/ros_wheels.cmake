# Lets the pip wheels of ROS 2 stand in for a sourced ROS. A sourced ROS needs none of this.

if(DEFINED ENV{AMENT_PREFIX_PATH} AND NOT "$ENV{AMENT_PREFIX_PATH}" STREQUAL "")
  return()
endif()

if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  message(FATAL_ERROR "The pip wheels of ROS 2 exist for x86-64 only and this is "
    "${CMAKE_SYSTEM_PROCESSOR}: source a ROS 2 installation (. /opt/ros/jazzy/setup.sh) and build again.")
endif()

# 1. The wheels install into the prefix of the Python environment: ask Python where that is.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
execute_process(
  COMMAND "${Python3_EXECUTABLE}" -c
    "import pathlib, importlib.util as u; print(pathlib.Path(u.find_spec('rosidl_generator_py').origin).parents[4])"
  OUTPUT_VARIABLE ros_prefix OUTPUT_STRIP_TRAILING_WHITESPACE
  ERROR_QUIET
  RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "No ROS 2 found: neither is one sourced (. /opt/ros/jazzy/setup.sh) "
    "nor does ${Python3_EXECUTABLE} have the wheels (pip install -r requirements.txt).")
endif()
set(ENV{AMENT_PREFIX_PATH} "${ros_prefix}")
list(APPEND CMAKE_PREFIX_PATH "${ros_prefix}")

# 2. Their CMake targets name include folders of the image that built the wheels: drop those.
function(drop_foreign_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(includes)
      list(FILTER includes EXCLUDE REGEX "^/opt/python/")
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${includes}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL drop_foreign_includes)
