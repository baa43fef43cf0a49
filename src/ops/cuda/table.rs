// Which kernels this program carries for dfdx, and as what dfdx looks for them. The build script reads this file, too.
//
// dfdx takes a module that its device has already, and compiles one or takes its own only where there is none. Its own are left out of
// the build (`dfdx/ci-check`), so that an operation of dfdx's that is newly used on a GPU needs its row here. Without one it fails with
// CUDA_ERROR_INVALID_IMAGE or, where dfdx would compile it while a run is on, with a panic that names NVRTC.
//
// The kernels of `src/ops/cuda/*.cu` need no row: all in these files are carried.

/// From dfdx's sources: a file's name there without its ending, and dfdx's names of modules. A module that ends with a number format has
/// the file's kernels for that.
pub const FROM_DFDX: &[(&str, &[&str])] = &[
    ("adam", &["adam_f32"]),
    ("axpy", &["axpy_f32"]),
    ("binary_add", &["badd_fwd_f32", "badd_fwd_f16"]),
    ("binary_div", &["bdiv_fwd_f32", "bdiv_fwd_f16"]),
    ("binary_mul", &["bmul_fwd_f32", "bmul_fwd_f16"]),
    ("binary_sub", &["bsub_fwd_f32", "bsub_fwd_f16"]),
    ("clamp", &["clamp_fwd_f32"]),
    ("exp", &["exp_fwd_f32", "exp_fwd_f16"]),
    ("fast_gelu", &["fast_gelu_fwd_f32", "fast_gelu_fwd_f16"]),
    ("gather", &["gather_f32", "gather_f16"]),
    ("ln", &["ln_fwd_f32", "ln_fwd_f16"]),
    ("max_to", &["max_f32", "max_f16"]),
    ("negate", &["negate_fwd_f32", "negate_fwd_f16"]),
    ("scalar_add", &["sadd_fwd_f32", "sadd_fwd_f16"]),
    ("scalar_div", &["sdiv_fwd_f32", "sdiv_fwd_f16"]),
    ("scalar_mul", &["smul_fwd_f32", "smul_fwd_f16"]),
    ("scalar_sub", &["ssub_fwd_f32", "ssub_fwd_f16"]),
    ("select", &["select_f32", "select_f16"]),
    ("sgd", &["sgd_f32"]),
    ("slice", &["slice_f32", "slice_f16"]),
    ("sqrt", &["sqrt_fwd_f32", "sqrt_fwd_f16"]),
    ("square", &["square_fwd_f32", "square_fwd_f16"]),
    ("sum_to", &["sum_f32", "sum_amp_f16"]),
];

/// In place of what dfdx compiles while a run is on: a file's name in `instead` without its ending, the types in it, and dfdx's names of
/// modules, which end with C's names of these types.
pub const INSTEAD: &[(&str, &[&str], &[&str])] = &[
    ("moves", &["ELEMENT=float"], &["reshape_fwd_float", "reshape_bwd_float", "concat_float", "stack_bwd_float"]),
    ("moves", &["ELEMENT=__half"], &["reshape_fwd___half", "reshape_bwd___half", "concat___half", "stack_bwd___half"]),
    ("convert", &["FROM=float", "TO=__half"], &["convert_float_to___half"]),
    ("convert", &["FROM=__half", "TO=float"], &["convert___half_to_float"]),
];
