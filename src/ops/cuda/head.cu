// Cross entropy of the head's logits, which are read once on the way forward and once on the way back.

#include "kernel.cuh"

struct CrossEntropy {
    count rows, columns;
    const void *logits;
    const word *targets;
    // Of each row: log(sum(exp(logits))), that less the target's logit, and 1 where no logit is above the target's.
    float *log_sums, *losses, *right;
};

// A block for each row. Each thread keeps the largest of its logits and the sum of exponentials relative to it.
template <typename T> __device__ void cross_entropy(const CrossEntropy &p) {
    __shared__ float shared[THREADS];
    for (count row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const T *logits = (const T *)p.logits + row * p.columns;
        float own = NEGATIVE_INFINITY, sum = 0.0f;
        for (count j = threadIdx.x; j < p.columns; j += blockDim.x) {
            const float x = widen(logits[j]);
            if (x > own) {
                sum *= expf(own - x);
                own = x;
            }
            // A logit that is no number makes the sum none.
            sum += own == NEGATIVE_INFINITY ? (x == x ? 0.0f : x) : expf(x - own);
        }
        const float largest = block_max(own, shared);
        const float total = block_sum(own == NEGATIVE_INFINITY ? sum : sum * expf(own - largest), shared);
        if (threadIdx.x == 0) {
            const float picked = widen(logits[p.targets[row]]);
            const float log_sum = largest + logf(total);
            p.log_sums[row] = log_sum;
            p.losses[row] = log_sum - picked;
            p.right[row] = picked >= largest ? 1.0f : 0.0f;
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) cross_entropy_f32(const CrossEntropy p) { cross_entropy<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) cross_entropy_f16(const CrossEntropy p) { cross_entropy<Half>(p); }

struct CrossEntropyBackward {
    count rows, columns;
    // Whose gradient takes their place.
    void *logits;
    const word *targets;
    const float *log_sums;
    // The gradient of the mean loss, where it is known on the device alone; null: 1.
    const void *upstream;
    // The gradient of each row's loss, but for that.
    float factor;
};

// A block for each row.
template <typename T> __device__ void cross_entropy_backward(const CrossEntropyBackward &p) {
    const float factor = p.upstream ? p.factor * widen(*(const T *)p.upstream) : p.factor;
    for (count row = blockIdx.x; row < p.rows; row += gridDim.x) {
        T *logits = (T *)p.logits + row * p.columns;
        const float log_sum = p.log_sums[row];
        const count target = p.targets[row];
        for (count j = threadIdx.x; j < p.columns; j += blockDim.x) {
            const float probability = expf(widen(logits[j]) - log_sum);
            narrow(logits + j, factor * (probability - (j == target ? 1.0f : 0.0f)));
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) cross_entropy_backward_f32(const CrossEntropyBackward p) { cross_entropy_backward<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) cross_entropy_backward_f16(const CrossEntropyBackward p) { cross_entropy_backward<Half>(p); }

struct MeanLoss {
    count rows;
    const float *losses, *right;
    void *loss;
    // How many rows were right.
    float *hits;
};

// One block, which adds up in double precision.
template <typename T> __device__ void mean_loss(const MeanLoss &p) {
    __shared__ double sums[2][THREADS];
    double losses = 0.0, right = 0.0;
    for (count i = threadIdx.x; i < p.rows; i += blockDim.x) {
        losses += p.losses[i];
        right += p.right[i];
    }
    sums[0][threadIdx.x] = losses;
    sums[1][threadIdx.x] = right;
    __syncthreads();
    for (word distance = blockDim.x / 2; distance > 0; distance /= 2) {
        if (threadIdx.x < distance) {
            sums[0][threadIdx.x] += sums[0][threadIdx.x + distance];
            sums[1][threadIdx.x] += sums[1][threadIdx.x + distance];
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        narrow((T *)p.loss, (float)(sums[0][0] / (double)p.rows));
        *p.hits = (float)sums[1][0];
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) mean_loss_f32(const MeanLoss p) { mean_loss<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) mean_loss_f16(const MeanLoss p) { mean_loss<Half>(p); }
