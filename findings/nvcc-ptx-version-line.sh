#!/usr/bin/env bash
# The version in nvcc's PTX says which compiler wrote it and not what the text needs: relabelled by years, it assembles to the same bytes.
#
# Versions: nvcc and ptxas 13.0.88 (PyPI's cuda-toolkit 13.0.3), dfdx 0.13.0 (Linux on x86-64, Python, cargo; no GPU and no driver; 500 MB to download).
#
# What one would guess: `.version 9.0` at the head of a PTX text is what the instructions in it ask for, or nvcc has an option for an older one, as
# it has for the architecture. A driver that refuses the text (CUDA_ERROR_UNSUPPORTED_PTX_VERSION) lacks something that the text uses.
#
# What happens: nvcc writes its own newest version, whatever is in the text and however old the architecture, and has no documented option for it. So kernels for cards of 2020,
# compiled today, shut out every driver from before the compiler's release. Yet of a whole training library's kernels, written over with
# `.version 7.0` (that of CUDA 11.0), each is accepted by the assembler and becomes the same machine code, byte for byte. The assembler
# refuses a text that does use something newer, so that the relabelling can be checked without a GPU, one kernel at a time.
#
# Seen: 49 of 49 kernels of dfdx for compute_80 say 9.0; with 7.0 all assemble for sm_80 to the same bytes. A kernel with `griddepcontrol`, which is
# of PTX 7.8 and for sm_90, is refused with 7.0 and accepted with 7.8.
# Exits 0 while that is so, 1 if it changes, 2 where the packages cannot be installed. FINDING_CUDA names a toolkit's folder to use instead.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cuda=${FINDING_CUDA:-}
if [ -z "$cuda" ]; then
    python3 -m venv "$work/venv" || exit 2
    "$work/venv/bin/pip" install -q "cuda-toolkit[nvcc,cudart,cccl,crt,nvvm]==13.0.3" || exit 2
    cuda=$(echo "$work"/venv/lib/python3*/site-packages/nvidia/cu13)
fi
nvcc=$cuda/bin/nvcc
ptxas=$cuda/bin/ptxas
mkdir -p "$work/fetched/src"
printf '[package]\nname = "fetched"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\ndfdx = { version = "=0.13.0", default-features = false, features = ["std"] }\n' \
    >"$work/fetched/Cargo.toml"
touch "$work/fetched/src/lib.rs"
(cd "$work/fetched" && cargo vendor -q "$work/vendored" >/dev/null 2>&1) || exit 2
dfdx=$(dirname "$(find "$work/vendored" -path '*dfdx*/src/tensor_ops/mod.rs' | head -1)")

# relabelled VERSION FROM TO
relabelled() { sed "s/^\.version .*/.version $1/" "$2" >"$3"; }

kernels=0 new=0 same=0
while read -r source; do
    kernels=$((kernels + 1))
    text=$work/$kernels
    "$nvcc" -w --ptx --gpu-architecture=compute_80 "-I$dfdx/utilities" -o "$text.ptx" "$source"
    grep -q '^\.version 9\.0$' "$text.ptx" && new=$((new + 1))
    relabelled 7.0 "$text.ptx" "$text.old.ptx"
    "$ptxas" -arch=sm_80 -o "$text.cubin" "$text.ptx"
    if "$ptxas" -arch=sm_80 -o "$text.old.cubin" "$text.old.ptx" 2>/dev/null && cmp -s "$text.cubin" "$text.old.cubin"; then
        same=$((same + 1))
    fi
done < <(find "$dfdx/.." -name '*.cu' | sort)
echo "$kernels kernels, $new of them .version 9.0; as .version 7.0 the same code: $same"

cat >"$work/newer.cu" <<'CUDA'
extern "C" __global__ void waits(float *x) {
    asm volatile("griddepcontrol.wait;");
    x[threadIdx.x] += 1.0f;
}
CUDA
"$nvcc" -w --ptx --gpu-architecture=compute_90 -o "$work/newer.ptx" "$work/newer.cu"
answers=""
for version in 7.0 7.8; do
    relabelled "$version" "$work/newer.ptx" "$work/tried.ptx"
    if "$ptxas" -arch=sm_90 -o "$work/tried.cubin" "$work/tried.ptx" 2>/dev/null; then answers+=" $version:accepted"; else answers+=" $version:refused"; fi
done
echo "griddepcontrol:$answers"

[ "$kernels" -gt 0 ] && [ "$new" -eq "$kernels" ] && [ "$same" -eq "$kernels" ] && [ "$answers" = " 7.0:refused 7.8:accepted" ] || exit 1
