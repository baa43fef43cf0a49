// What dfdx's kernels leave out: work on gradients that never become tensors. Compiled by the build for all kinds of GPUs.

typedef unsigned long long count;

#define FIRST (blockIdx.x * (count)blockDim.x + threadIdx.x)
#define STRIDE (gridDim.x * (count)blockDim.x)

// x *= factor
extern "C" __global__ void scale(const count len, float *x, const float factor) {
    for (count i = FIRST; i < len; i += STRIDE) {
        x[i] *= factor;
    }
}

// totals += sum(x * x) in shares, one for each block of at most 256 threads. Each thread adds up its own elements in single
// precision, a few hundred of the largest tensors; the rest is done in double precision.
extern "C" __global__ void add_squares(const count len, const float *x, double *totals) {
    __shared__ double sums[256];
    float own = 0.0f;
    for (count i = FIRST; i < len; i += STRIDE) {
        own += x[i] * x[i];
    }
    sums[threadIdx.x] = own;
    __syncthreads();
    for (unsigned int distance = blockDim.x / 2; distance > 0; distance /= 2) {
        if (threadIdx.x < distance) {
            sums[threadIdx.x] += sums[threadIdx.x + distance];
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        totals[blockIdx.x] += sums[0];
    }
}

// to += factor * from, where from is in half precision
extern "C" __global__ void add_half(const count len, float *to, const unsigned short *from, const float factor) {
    for (count i = FIRST; i < len; i += STRIDE) {
        float x;
        asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(from[i]));
        to[i] += factor * x;
    }
}

// to = factor * from, where to is in half precision: rounded to the nearest, beyond its range infinite
extern "C" __global__ void write_half(const count len, unsigned short *to, const float *from, const float factor) {
    for (count i = FIRST; i < len; i += STRIDE) {
        unsigned short y;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(factor * from[i]));
        to[i] = y;
    }
}
