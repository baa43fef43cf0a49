// Lets nvcc compile dfdx 0.13 for GPUs before compute capability 8.0 (V100, T4, RTX 20). `src/build/kernels.rs` has nvcc include it.
//
// For these, dfdx brings functions of its own for the larger and the smaller of two half-precision numbers, which CUDA had only
// from 8.0 on when dfdx was written. Newer toolkits have them for every GPU, under the same names, and nvcc refuses the second
// definition. Once CUDA's header has been read, dfdx's get other names here. With an older toolkit this changes nothing.
#include <cuda_fp16.h>

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define __hmax_nan dfdx_hmax_nan
#define __hmin_nan dfdx_hmin_nan
#endif
