// Gradients of biases and of layer norms' weights: sums down the columns of a gradient, taken while it is read for something else.
// Each block leaves its share, and the shares of all vectors of a part of the model are added up at once.

#include "kernel.cuh"

#define ACROSS 32
#define DOWN 8

struct Columns {
    count rows, columns;
    // Of each share.
    count rows_per_block;
    // The gradient. With `hidden` it is that of GELU's result: the gradient of GELU's argument takes its place, and GELU's result that of the
    // argument in `hidden`.
    void *x, *hidden;
    // Which elements dropout took, and where the gradient goes without them. Null: nothing was dropped.
    const unsigned short *bits;
    void *out;
    // What each element is multiplied by for the second kind of sum; null: there is none.
    const void *factors;
    // Shares of sum(x) and of sum(x * factors), each row `stride` after the one before. Null: not wanted.
    float *plain, *weighted;
    count stride;
    float kept;
};

#define BETA 0.7978845608028654f
#define CUBE 0.044715f

__device__ __forceinline__ float gelu(const float x) {
    return 0.5f * x * (1.0f + tanhf(BETA * (x + CUBE * x * x * x)));
}

__device__ __forceinline__ float gelu_slope(const float x) {
    const float t = tanhf(BETA * (x + CUBE * x * x * x));
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * BETA * (1.0f + 3.0f * CUBE * x * x);
}

// Blocks of ACROSS columns and DOWN rows at a time.
template <typename T> __device__ void columns(const Columns &p) {
    __shared__ float sums[2][DOWN][ACROSS];
    const count column = blockIdx.x * (count)ACROSS + threadIdx.x;
    const count first = blockIdx.y * p.rows_per_block;
    const count last = first + p.rows_per_block < p.rows ? first + p.rows_per_block : p.rows;
    float plain = 0.0f, weighted = 0.0f;
    if (column < p.columns) {
        for (count row = first + threadIdx.y; row < last; row += DOWN) {
            const count i = row * p.columns + column;
            T *at = (T *)p.x + i;
            float x = widen(*at);
            if (p.hidden) {
                T *hidden = (T *)p.hidden + i;
                const float h = widen(*hidden);
                narrow(at, x * gelu_slope(h));
                narrow(hidden, gelu(h));
                x = widen(*at);
            }
            if (p.bits) {
                T *out = (T *)p.out + i;
                narrow(out, x * dropped(p.bits, i, p.kept));
                x = widen(*out);
            }
            plain += x;
            if (p.factors) {
                weighted += x * widen(((const T *)p.factors)[i]);
            }
        }
    }
    sums[0][threadIdx.y][threadIdx.x] = plain;
    sums[1][threadIdx.y][threadIdx.x] = weighted;
    __syncthreads();
    if (threadIdx.y == 0 && column < p.columns) {
        plain = 0.0f;
        weighted = 0.0f;
        for (int i = 0; i < DOWN; i++) {
            plain += sums[0][i][threadIdx.x];
            weighted += sums[1][i][threadIdx.x];
        }
        const count at = blockIdx.y * p.stride + column;
        if (p.plain) {
            p.plain[at] = plain;
        }
        if (p.weighted) {
            p.weighted[at] = weighted;
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) columns_f32(const Columns p) { columns<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) columns_f16(const Columns p) { columns<Half>(p); }

#define VECTORS 8

struct AddColumns {
    count shares, stride;
    const float *from;
    // Where each vector of a row of shares begins, one after the other; the last entry is where the last one ends.
    count starts[VECTORS + 1];
    // Where the sums are added to. Null: nobody wants them.
    void *to[VECTORS];
};

// A thread for each column.
template <typename T> __device__ void add_columns(const AddColumns &p) {
    for (count i = FIRST; i < p.starts[VECTORS]; i += STRIDE) {
        T *to = 0;
#pragma unroll
        for (int vector = 0; vector < VECTORS; vector++) {
            if (i >= p.starts[vector] && i < p.starts[vector + 1] && p.to[vector]) {
                to = (T *)p.to[vector] + (i - p.starts[vector]);
            }
        }
        if (to) {
            float sum = 0.0f;
            for (count share = 0; share < p.shares; share++) {
                sum += p.from[share * p.stride + i];
            }
            narrow(to, widen(*to) + sum);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) add_columns_f32(const AddColumns p) { add_columns<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) add_columns_f16(const AddColumns p) { add_columns<Half>(p); }

struct BiasGelu {
    count rows, columns;
    // To which the bias is added where it lies.
    void *hidden;
    // Null: none.
    const void *bias;
    void *activated;
};

template <typename T> __device__ void bias_gelu(const BiasGelu &p) {
    const T *bias = (const T *)p.bias;
    for (count row = blockIdx.x; row < p.rows; row += gridDim.x) {
        for (count j = threadIdx.x; j < p.columns; j += blockDim.x) {
            const count i = row * p.columns + j;
            T *hidden = (T *)p.hidden + i;
            if (bias) {
                narrow(hidden, widen(*hidden) + widen(bias[j]));
            }
            narrow((T *)p.activated + i, gelu(widen(*hidden)));
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) bias_gelu_f32(const BiasGelu p) { bias_gelu<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) bias_gelu_f16(const BiasGelu p) { bias_gelu<Half>(p); }
