// Layer norms, with what is added to the residual stream before them.

#include "kernel.cuh"

struct AddNorm {
    count rows, columns;
    // The residual stream, and what is added to it: dropout(z + bias). Null: nothing.
    const void *x, *z, *bias;
    const unsigned short *bits;
    // The sum, where there is a z.
    void *sum;
    // Of the norm. Without a weight there is none.
    const void *weight, *norm_bias;
    void *y;
    // What the backward pass needs: the rows with mean 0 and variance 1, and what they were multiplied by. Null: not wanted.
    void *normed;
    float *factors;
    float kept, epsilon;
};

// A block for each row.
template <typename T> __device__ void add_norm(const AddNorm &p) {
    __shared__ float shared[THREADS];
    const T *z = (const T *)p.z, *bias = (const T *)p.bias;
    const T *weight = (const T *)p.weight, *norm_bias = (const T *)p.norm_bias;
    for (count row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const count start = row * p.columns;
        const T *x = (const T *)p.x + start;
        float own = 0.0f;
        for (count j = threadIdx.x; j < p.columns; j += blockDim.x) {
            float v = widen(x[j]);
            if (z) {
                float added = widen(z[start + j]) + (bias ? widen(bias[j]) : 0.0f);
                if (p.bits) {
                    added *= dropped(p.bits, start + j, p.kept);
                }
                T *to = (T *)p.sum + start + j;
                narrow(to, v + added);
                v = widen(*to);
            }
            own += v;
        }
        if (!weight) {
            continue;
        }
        // Each thread reads what it wrote itself.
        const T *v = z ? (const T *)p.sum + start : x;
        const float mean = block_sum(own, shared) / p.columns;
        own = 0.0f;
        for (count j = threadIdx.x; j < p.columns; j += blockDim.x) {
            const float centred = widen(v[j]) - mean;
            own += centred * centred;
        }
        const float factor = 1.0f / sqrtf(block_sum(own, shared) / p.columns + p.epsilon);
        for (count j = threadIdx.x; j < p.columns; j += blockDim.x) {
            const float normed = (widen(v[j]) - mean) * factor;
            if (p.normed) {
                narrow((T *)p.normed + start + j, normed);
            }
            narrow((T *)p.y + start + j, normed * widen(weight[j]) + (norm_bias ? widen(norm_bias[j]) : 0.0f));
        }
        if (p.factors && threadIdx.x == 0) {
            p.factors[row] = factor;
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) add_norm_f32(const AddNorm p) { add_norm<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) add_norm_f16(const AddNorm p) { add_norm<Half>(p); }

struct NormBackward {
    count rows, columns;
    const void *dy, *normed, *weight;
    const float *factors;
    // The gradient that passes the norm by; null: none. It may lie where dx lies.
    const void *residual;
    void *dx;
};

// A block for each row.
template <typename T> __device__ void norm_backward(const NormBackward &p) {
    __shared__ float shared[THREADS];
    const T *weight = (const T *)p.weight;
    for (count row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const count start = row * p.columns;
        const T *dy = (const T *)p.dy + start, *normed = (const T *)p.normed + start;
        float plain = 0.0f, weighted = 0.0f;
        for (count j = threadIdx.x; j < p.columns; j += blockDim.x) {
            const float g = widen(dy[j]) * widen(weight[j]);
            plain += g;
            weighted += g * widen(normed[j]);
        }
        plain = block_sum(plain, shared) / p.columns;
        weighted = block_sum(weighted, shared) / p.columns;
        const float factor = p.factors[row];
        for (count j = threadIdx.x; j < p.columns; j += blockDim.x) {
            const float g = widen(dy[j]) * widen(weight[j]);
            const float passed = p.residual ? widen(((const T *)p.residual)[start + j]) : 0.0f;
            narrow((T *)p.dx + start + j, passed + factor * (g - plain - widen(normed[j]) * weighted));
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) norm_backward_f32(const NormBackward p) { norm_backward<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) norm_backward_f16(const NormBackward p) { norm_backward<Half>(p); }
