# LARDER_CUDA: nvcc was found and its language is on.
option(LARDER_CUDA "Build the GPU decoder where nvcc is found" ON)
find_program(LARDER_NVCC nvcc HINTS /usr/local/cuda/bin)
if(LARDER_CUDA AND LARDER_NVCC AND NOT LARDER_SANITIZE)
  set(CMAKE_CUDA_COMPILER ${LARDER_NVCC})
  set(CMAKE_CUDA_ARCHITECTURES 80)  # targets set their own
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
else()
  set(LARDER_CUDA OFF)
endif()
