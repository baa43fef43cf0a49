// Token embedding plus position embedding, and their gradients.

#include "kernel.cuh"

struct Embed {
    count rows, columns, tokens;
    const word *ids;
    const void *of_token, *of_position;
    void *x;
};

template <typename T> __device__ void embed(const Embed &p) {
    for (count row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const T *of_token = (const T *)p.of_token + p.ids[row] * p.columns;
        const T *of_position = (const T *)p.of_position + row % p.tokens * p.columns;
        for (count j = threadIdx.x; j < p.columns; j += blockDim.x) {
            narrow((T *)p.x + row * p.columns + j, widen(of_token[j]) + widen(of_position[j]));
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) embed_f32(const Embed p) { embed<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) embed_f16(const Embed p) { embed<Half>(p); }

struct EmbedBackward {
    count columns, tokens, batch;
    // Different tokens, where the positions of each begin in `order`, with an end after the last; and the tokens themselves.
    count distinct;
    const word *starts, *ids, *order;
    const void *dx;
    void *of_token, *of_position;
};

// A block for each token that occurs, and for each position in a sequence: sums in the order of the batch, without atomics.
template <typename T> __device__ void embed_backward(const EmbedBackward &p) {
    const T *dx = (const T *)p.dx;
    for (count row = blockIdx.x; row < p.distinct + p.tokens; row += gridDim.x) {
        const bool is_token = row < p.distinct;
        const count position = row - p.distinct;
        const count first = is_token ? p.starts[row] : 0, last = is_token ? p.starts[row + 1] : p.batch;
        T *to = is_token ? (T *)p.of_token + p.ids[row] * p.columns : (T *)p.of_position + position * p.columns;
        for (count j = threadIdx.x; j < p.columns; j += blockDim.x) {
            float sum = 0.0f;
#pragma unroll 4
            for (count i = first; i < last; i++) {
                const count from = is_token ? p.order[i] : i * p.tokens + position;
                sum += widen(dx[from * p.columns + j]);
            }
            narrow(to + j, widen(to[j]) + sum);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) embed_backward_f32(const EmbedBackward p) { embed_backward<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) embed_backward_f16(const EmbedBackward p) { embed_backward<Half>(p); }
