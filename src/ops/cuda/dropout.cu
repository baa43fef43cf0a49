// Dropout masks, the same as `ops::Dropout` makes on the host: ChaCha with 8 rounds, a number for each element.
//
// Source: Bernstein, "ChaCha, a variant of Salsa20", 2008; the order of the numbers is that of the crate rand_chacha.

#include "kernel.cuh"

__device__ __forceinline__ word turned(const word x, const int by) { return (x << by) | (x >> (32 - by)); }

#define QUARTER(a, b, c, d)                                                                                            \
    a += b; d = turned(d ^ a, 16);                                                                                     \
    c += d; b = turned(b ^ c, 12);                                                                                     \
    a += b; d = turned(d ^ a, 8);                                                                                      \
    c += d; b = turned(b ^ c, 7);

// Of the elements from 16 * group on, those that are dropped.
__device__ __forceinline__ word dropped_of(const word *key, const count group, const word threshold) {
    word first[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, key[0], key[1], key[2], key[3],
                      key[4], key[5], key[6], key[7], (word)group, (word)(group >> 32), 0, 0};
    word x[16];
#pragma unroll
    for (int i = 0; i < 16; i++) {
        x[i] = first[i];
    }
#pragma unroll
    for (int round = 0; round < 8; round += 2) {
        QUARTER(x[0], x[4], x[8], x[12])
        QUARTER(x[1], x[5], x[9], x[13])
        QUARTER(x[2], x[6], x[10], x[14])
        QUARTER(x[3], x[7], x[11], x[15])
        QUARTER(x[0], x[5], x[10], x[15])
        QUARTER(x[1], x[6], x[11], x[12])
        QUARTER(x[2], x[7], x[8], x[13])
        QUARTER(x[3], x[4], x[9], x[14])
    }
    word bits = 0;
#pragma unroll
    for (int i = 0; i < 16; i++) {
        bits |= (word)(x[i] + first[i] < threshold) << i;
    }
    return bits;
}

struct Mask {
    word key[8];
    // Groups of 16 elements; 0: there is no such mask.
    count groups;
    unsigned short *bits;
    // Numbers below it drop their element.
    word threshold;
};

struct Masks {
    Mask of[3];
};

__device__ __forceinline__ void mask(const Mask &p) {
    for (count group = FIRST; group < p.groups; group += STRIDE) {
        p.bits[group] = dropped_of(p.key, group, p.threshold);
    }
}

// The masks of a transformer block.
extern "C" __global__ void __launch_bounds__(THREADS) masks(const Masks p) {
    mask(p.of[0]);
    mask(p.of[1]);
    mask(p.of[2]);
}

struct DropElements {
    word key[8];
    count len;
    // The second may be the first.
    const void *x;
    void *y;
    word threshold;
    float kept;
};

// A thread for each 16 elements.
template <typename T> __device__ void drop_elements(const DropElements &p) {
    for (count group = FIRST; group * 16 < p.len; group += STRIDE) {
        const word bits = dropped_of(p.key, group, p.threshold);
        for (int i = 0; i < 16 && group * 16 + i < p.len; i++) {
            const count at = group * 16 + i;
            narrow((T *)p.y + at, widen(((const T *)p.x)[at]) * ((bits >> i) & 1 ? 0.0f : p.kept));
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) drop_elements_f32(const DropElements p) { drop_elements<float>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) drop_elements_f16(const DropElements p) { drop_elements<Half>(p); }
