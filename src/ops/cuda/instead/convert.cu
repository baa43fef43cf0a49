// What dfdx would have NVRTC compile while a run is on, to change numbers of one type, FROM, to those of another, TO.

#include <cuda_fp16.h>

typedef unsigned long long count;

extern "C" __global__ void kernel(const count len, const FROM *in, TO *out) {
    for (count i = blockIdx.x * (count)blockDim.x + threadIdx.x; i < len; i += gridDim.x * (count)blockDim.x) {
        out[i] = in[i];
    }
}
