// Work on many tensors in one launch: their addresses come as the kernel's parameter, which may take 4 KB. A block works on CHUNK elements of
// one tensor.

#include "kernel.cuh"

#define CHUNK 16384

// Tensors of one launch: blocks of tensor i are those from first[i] to first[i + 1].
template <int N> struct Lengths {
    count len[N];
    word first[N + 1];
    word tensors;
};

// The tensor that this block works on, by halving.
template <int N> __device__ __forceinline__ word tensor_of(const Lengths<N> &p) {
    word low = 0, high = p.tensors;
    while (high - low > 1) {
        const word middle = (low + high) / 2;
        if (p.first[middle] <= blockIdx.x) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

#define EACH_ELEMENT(lengths, tensor)                                                                                  \
    const count begin = (count)(blockIdx.x - (lengths).first[tensor]) * CHUNK, whole = (lengths).len[tensor];          \
    const count end = begin + CHUNK < whole ? begin + CHUNK : whole;                                                   \
    for (count i = begin + threadIdx.x; i < end; i += blockDim.x)

#define OF_SQUARES 200

struct Squares {
    Lengths<OF_SQUARES> lengths;
    // A share for each block, from the first of these on.
    double *shares;
    const float *x[OF_SQUARES];
};

// Each thread adds up its own elements in single precision, at most CHUNK / THREADS; the rest is done in double precision.
extern "C" __global__ void __launch_bounds__(THREADS) squares(const Squares p) {
    __shared__ double sums[THREADS];
    const word tensor = tensor_of(p.lengths);
    const float *x = p.x[tensor];
    float own = 0.0f;
    EACH_ELEMENT(p.lengths, tensor) {
        own += x[i] * x[i];
    }
    const double sum = block_sum((double)own, sums);
    if (threadIdx.x == 0) {
        p.shares[blockIdx.x] = sum;
    }
}

struct Total {
    count shares;
    const double *from;
    double *to;
};

// One block.
extern "C" __global__ void __launch_bounds__(THREADS) total(const Total p) {
    __shared__ double sums[THREADS];
    double own = 0.0;
    for (count i = threadIdx.x; i < p.shares; i += blockDim.x) {
        own += p.from[i];
    }
    const double sum = block_sum(own, sums);
    if (threadIdx.x == 0) {
        *p.to = sum;
    }
}

#define OF_ADAMW 80

struct AdamW {
    Lengths<OF_ADAMW> lengths;
    float clip, learning_rate, beta1, beta2, epsilon;
    // 1 / (1 - beta^step)
    float correction1, correction2;
    // Share of the learning rate by which each tensor shrinks.
    float decay[OF_ADAMW];
    float *x[OF_ADAMW], *gradient[OF_ADAMW], *first[OF_ADAMW], *second[OF_ADAMW];
};

// Leaves zeros in the gradients.
extern "C" __global__ void __launch_bounds__(THREADS) adamw(const AdamW p) {
    const word tensor = tensor_of(p.lengths);
    float *x = p.x[tensor], *gradient = p.gradient[tensor], *first = p.first[tensor], *second = p.second[tensor];
    const float decay = p.learning_rate * p.decay[tensor];
    EACH_ELEMENT(p.lengths, tensor) {
        const float g = gradient[i] * p.clip;
        const float m = first[i] * p.beta1 + g * (1.0f - p.beta1);
        const float v = second[i] * p.beta2 + g * g * (1.0f - p.beta2);
        first[i] = m;
        second[i] = v;
        gradient[i] = 0.0f;
        const float step = p.learning_rate * (m * p.correction1) / (sqrtf(v * p.correction2) + p.epsilon);
        x[i] -= step + decay * x[i];
    }
}

#define OF_SGD 96

struct Sgd {
    Lengths<OF_SGD> lengths;
    float clip, learning_rate, momentum;
    // Share of each tensor that is added to its gradient.
    float decay[OF_SGD];
    float *x[OF_SGD], *gradient[OF_SGD], *velocity[OF_SGD];
};

// Leaves zeros in the gradients.
extern "C" __global__ void __launch_bounds__(THREADS) sgd(const Sgd p) {
    const word tensor = tensor_of(p.lengths);
    float *x = p.x[tensor], *gradient = p.gradient[tensor], *velocity = p.velocity[tensor];
    EACH_ELEMENT(p.lengths, tensor) {
        const float v = gradient[i] * p.clip + p.decay[tensor] * x[i] + p.momentum * velocity[i];
        velocity[i] = v;
        gradient[i] = 0.0f;
        x[i] -= p.learning_rate * v;
    }
}

#define OF_HALF 140

struct BothPrecisions {
    Lengths<OF_HALF> lengths;
    float factor;
    float *single[OF_HALF];
    Half *half[OF_HALF];
};

// half = factor * single
extern "C" __global__ void __launch_bounds__(THREADS) narrow_many(const BothPrecisions p) {
    const word tensor = tensor_of(p.lengths);
    const float *single = p.single[tensor];
    Half *half = p.half[tensor];
    EACH_ELEMENT(p.lengths, tensor) {
        narrow(half + i, p.factor * single[i]);
    }
}

// single += factor * half, and half = 0
extern "C" __global__ void __launch_bounds__(THREADS) add_halves(const BothPrecisions p) {
    const word tensor = tensor_of(p.lengths);
    float *single = p.single[tensor];
    Half *half = p.half[tensor];
    EACH_ELEMENT(p.lengths, tensor) {
        single[i] += p.factor * widen(half[i]);
        half[i].bits = 0;
    }
}
