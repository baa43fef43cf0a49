// What attention does beside its matrix products.

#include "kernel.cuh"

struct Heads {
    count batch, tokens, heads, width;
    // Matrices side by side: 3 for queries, keys and values.
    count parts;
    // (batch * tokens, parts * heads * width)
    void *positions;
    // (parts, batch, heads, tokens, width)
    void *by_head;
    // Added on the way to the heads. Null: nothing.
    const void *bias;
    count to_heads;
};

template <typename T> __device__ void heads(const Heads &p) {
    const word inner = p.heads * p.width, columns = p.parts * inner, width = p.width;
    const T *bias = (const T *)p.bias;
    for (count row = blockIdx.x; row < p.batch * p.tokens; row += gridDim.x) {
        const count sequence = row / p.tokens, token = row % p.tokens;
        for (word j = threadIdx.x; j < columns; j += blockDim.x) {
            const word part = j / inner, head = j % inner / width, e = j % width;
            const count at = (((part * p.batch + sequence) * p.heads + head) * p.tokens + token) * width + e;
            T *position = (T *)p.positions + row * columns + j, *by_head = (T *)p.by_head + at;
            if (!p.to_heads) {
                *position = *by_head;
            } else if (bias) {
                narrow(by_head, widen(*position) + widen(bias[j]));
            } else {
                *by_head = *position;
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) heads_f32(const Heads p) { heads<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) heads_f16(const Heads p) { heads<Half>(p); }

struct Softmax {
    // Of all heads and sequences that are computed at a time, each of `tokens` scores.
    count rows, tokens;
    void *scores;
    // The weights after dropout, and which of them it takes. Null: none.
    void *out;
    const unsigned short *bits;
    // The number of the first score among those of the whole batch, by which its bit is found.
    count first;
    float kept;
};

// Scores become weights where they lie, over the positions up to the row's own; the others get none. A block for each row.
template <typename T> __device__ void softmax(const Softmax &p) {
    __shared__ float shared[THREADS];
    for (count row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const count start = row * p.tokens, seen = row % p.tokens + 1;
        T *scores = (T *)p.scores + start;
        float own = NEGATIVE_INFINITY;
        for (count j = threadIdx.x; j < seen; j += blockDim.x) {
            own = fmaxf(own, widen(scores[j]));
        }
        const float largest = block_max(own, shared);
        own = 0.0f;
        for (count j = threadIdx.x; j < seen; j += blockDim.x) {
            own += expf(widen(scores[j]) - largest);
        }
        const float total = block_sum(own, shared);
        for (count j = threadIdx.x; j < p.tokens; j += blockDim.x) {
            const float weight = j < seen ? expf(widen(scores[j]) - largest) / total : 0.0f;
            narrow(scores + j, weight);
            if (p.bits) {
                const float factor = j < seen ? dropped(p.bits, p.first + start + j, p.kept) : 0.0f;
                narrow((T *)p.out + start + j, widen(scores[j]) * factor);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) softmax_f32(const Softmax p) { softmax<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) softmax_f16(const Softmax p) { softmax<Half>(p); }

struct SoftmaxBackward {
    count rows, tokens;
    const void *weights;
    // Of the weights after dropout; that of the scores takes its place.
    void *gradient;
    // As in the forward pass.
    void *out;
    const unsigned short *bits;
    count first;
    float kept;
};

// A block for each row.
template <typename T> __device__ void softmax_backward(const SoftmaxBackward &p) {
    __shared__ float shared[THREADS];
    for (count row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const count start = row * p.tokens, seen = row % p.tokens + 1;
        const T *weights = (const T *)p.weights + start;
        T *gradient = (T *)p.gradient + start;
        float own = 0.0f;
        for (count j = threadIdx.x; j < seen; j += blockDim.x) {
            const float factor = p.bits ? dropped(p.bits, p.first + start + j, p.kept) : 1.0f;
            own += widen(weights[j]) * widen(gradient[j]) * factor;
        }
        const float mean = block_sum(own, shared);
        for (count j = threadIdx.x; j < p.tokens; j += blockDim.x) {
            const bool is_seen = j < seen;
            const float factor = p.bits && is_seen ? dropped(p.bits, p.first + start + j, p.kept) : 1.0f;
            const float weight = widen(weights[j]);
            narrow(gradient + j, is_seen ? weight * (widen(gradient[j]) * factor - mean) : 0.0f);
            if (p.bits) {
                narrow((T *)p.out + start + j, is_seen ? weight * factor : 0.0f);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) softmax_backward_f32(const SoftmaxBackward p) { softmax_backward<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) softmax_backward_f16(const SoftmaxBackward p) { softmax_backward<Half>(p); }
