// What the kernels share. No header is included and no particular GPU wanted, so that they compile for all of them and by any
// compiler. Sums inside a block are taken in a fixed order, so that a run gives the same numbers each time.

#pragma once

typedef unsigned long long count;
typedef unsigned int word;

// The most threads that a block of these kernels has, always a power of two.
#define THREADS 256

#define FIRST (blockIdx.x * (count)blockDim.x + threadIdx.x)
#define STRIDE (gridDim.x * (count)blockDim.x)

// Half precision as it lies in memory; all arithmetic is in single.
struct Half {
    unsigned short bits;
};

__device__ __forceinline__ float widen(const float x) { return x; }

__device__ __forceinline__ float widen(const Half x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}

__device__ __forceinline__ void narrow(float *to, const float x) { *to = x; }

// Rounded to the nearest, and infinite beyond the range.
__device__ __forceinline__ void narrow(Half *to, const float x) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    to->bits = bits;
}

// The sum over the block's threads, for all of them.
template <typename N> __device__ __forceinline__ N block_sum(const N own, N *shared) {
    shared[threadIdx.x] = own;
    __syncthreads();
    for (word distance = blockDim.x / 2; distance > 0; distance /= 2) {
        if (threadIdx.x < distance) {
            shared[threadIdx.x] += shared[threadIdx.x + distance];
        }
        __syncthreads();
    }
    const N total = shared[0];
    // Before anybody writes there again.
    __syncthreads();
    return total;
}

__device__ __forceinline__ float block_max(const float own, float *shared) {
    shared[threadIdx.x] = own;
    __syncthreads();
    for (word distance = blockDim.x / 2; distance > 0; distance /= 2) {
        if (threadIdx.x < distance) {
            shared[threadIdx.x] = fmaxf(shared[threadIdx.x], shared[threadIdx.x + distance]);
        }
        __syncthreads();
    }
    const float largest = shared[0];
    __syncthreads();
    return largest;
}

// What dropout multiplies element i by: a set bit drops it, 16 elements to a number.
__device__ __forceinline__ float dropped(const unsigned short *bits, const count i, const float kept) {
    return (bits[i / 16] >> (i % 16)) & 1 ? 0.0f : kept;
}

#define NEGATIVE_INFINITY (-__int_as_float(0x7f800000))
