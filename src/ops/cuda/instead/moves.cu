// What dfdx would have NVRTC compile while a run is on, for one type of number, ELEMENT. The arguments are those with which dfdx launches
// kernels of these names. Shapes and strides count elements; an array's last axis comes last.

#include <cuda_fp16.h>

typedef unsigned long long count;

#define FIRST (blockIdx.x * (count)blockDim.x + threadIdx.x)
#define STRIDE (gridDim.x * (count)blockDim.x)

// Where the element that comes `i`-th in the order of the shape lies in memory.
static __device__ count place(count i, count axes, const count *shape, const count *strides) {
    count at = 0;
    for (count axis = axes; axis-- > 0;) {
        at += i % shape[axis] * strides[axis];
        i /= shape[axis];
    }
    return at;
}

// layout: shape and strides of the input, shape and strides of the output
extern "C" __global__ void reshape_fwd(
    const count len, const count axes_in, const count axes_out, const count *layout, const ELEMENT *in, ELEMENT *out
) {
    const count *layout_out = layout + 2 * axes_in;
    for (count i = FIRST; i < len; i += STRIDE) {
        out[place(i, axes_out, layout_out, layout_out + axes_out)] = in[place(i, axes_in, layout, layout + axes_in)];
    }
}

// Several elements of the output may be of one of the input, whose stride is then zero.
extern "C" __global__ void reshape_bwd(
    const count len, const count axes_in, const count axes_out, const count *layout, ELEMENT *grad_in, const ELEMENT *grad_out
) {
    const count *layout_out = layout + 2 * axes_in;
    for (count i = FIRST; i < len; i += STRIDE) {
        ELEMENT *to = grad_in + place(i, axes_in, layout, layout + axes_in);
        atomicAdd(to, grad_out[place(i, axes_out, layout_out, layout_out + axes_out)]);
    }
}

// Which of two joined arrays the `i`-th element of the joint one is from, and where it lies there.
// layout: number of elements, number of axes, the axis along which they are joined, shape and strides of the one and of the other
struct Joined {
    bool second;
    count at;
};

static __device__ Joined apart(count i, const count *layout) {
    const count axes = layout[1], joint = layout[2];
    const count *shape[2] = {layout + 3, layout + 3 + 2 * axes};
    const count *strides[2] = {layout + 3 + axes, layout + 3 + 3 * axes};
    count at[2] = {0, 0};
    bool second = false;
    for (count axis = axes; axis-- > 0;) {
        const count own = shape[0][axis];
        const count extent = axis == joint ? own + shape[1][axis] : own;
        count along = i % extent;
        i /= extent;
        if (axis == joint) {
            second = along >= own;
            along -= second ? own : 0;
        }
        at[0] += along * strides[0][axis];
        at[1] += along * strides[1][axis];
    }
    Joined joined = {second, second ? at[1] : at[0]};
    return joined;
}

// Joins two arrays along an axis.
extern "C" __global__ void fwd(const count *layout, const ELEMENT *one, const ELEMENT *other, ELEMENT *out) {
    const count len = layout[0];
    for (count i = FIRST; i < len; i += STRIDE) {
        const Joined from = apart(i, layout);
        out[i] = from.second ? other[from.at] : one[from.at];
    }
}

extern "C" __global__ void bwd(const count *layout, ELEMENT *grad_one, ELEMENT *grad_other, const ELEMENT *grad_out) {
    const count len = layout[0];
    for (count i = FIRST; i < len; i += STRIDE) {
        const Joined to = apart(i, layout);
        atomicAdd((to.second ? grad_other : grad_one) + to.at, grad_out[i]);
    }
}

// Of one of the arrays that were stacked.
extern "C" __global__ void stack_bwd(const count len, const ELEMENT *grad_out, ELEMENT *grad_in) {
    for (count i = FIRST; i < len; i += STRIDE) {
        grad_in[i] += grad_out[i];
    }
}
