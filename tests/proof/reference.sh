# The parts of GPT-2 124M: its step beside PyTorch's, and the reference run.

readonly tiny_shakespeare=86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed

# Seconds of the steps that a process of PyTorch printed, without the first ones.
torch_secs() { # number left out, files
    local first=$(($1 + 1)) file
    for file in "${@:2}"; do sed -n 's/.*"secs": \([0-9.e-]*\).*/\1/p' "$file" | tail -n "+$first"; done
}
our_secs() { # number left out, dtype
    local file
    for file in runs/step-"$2"-*/*/metrics.csv; do column "$file" step_secs $(($1 + 1)); done
}

part_pytorch() {
    local device=cuda rounds=2 warmup=5 steps=20 code round pair theirs ours about
    command -v "$python" >/dev/null || { because="there is no $python here" && return 77; }
    call -o pytorch.txt "$python" -c 'import torch; print(torch.__version__, "for CUDA", torch.version.cuda); print(torch.cuda.is_available())'
    code=$?
    [ "$code" -ne 124 ] || { fell 124; return; }
    [ "$code" -eq 0 ] || { because="$python has no PyTorch that can be used: $(last_words)" && return 77; }
    about="PyTorch $(head -n 1 pytorch.txt)"
    # Tiny is for emulated GPUs, which PyTorch knows nothing of.
    [ -z "$tiny" ] || device=cpu rounds=1 warmup=1 steps=3
    if [ "$device" = cuda ] && [ "$(tail -n 1 pytorch.txt)" != True ]; then
        because="$about finds no CUDA device" && return 77
    fi
    figure "PyTorch" "$about"
    local shape=(--layers 12 --heads 12 --width 768 --batch-size 16 --sequence-length 128)
    [ -z "$tiny" ] || shape=(--layers 1 --heads 2 --width 16 --batch-size 2 --sequence-length 16 --vocabulary 64 --block-size 32)
    code=0
    for round in $(seq "$rounds"); do
        for pair in f32/f32 bf16/f16; do
            theirs=${pair%/*} ours=${pair#*/}
            call -o "pytorch-$theirs-$round.jsonl" "$python" "$bundle/pytorch.py" minimal --device "$device" --dtype "$theirs" \
                "${shape[@]}" --steps $((warmup + steps))
            code=$?
            [ "$code" -eq 0 ] || break 2
            with tiny_gpt2 hardware.device=cuda "hardware.dtype=$ours" "train.max_steps=$((warmup + steps))" "experiment.name=step-$ours-$round"
            [ "$tiny" ] || sets+=(--set model.preset=gpt2)
            call "$runner" "$experiments/step.toml" "${sets[@]}" --quiet
            code=$?
            [ "$code" -eq 0 ] || break 2
        done
    done
    local their_ms our_ms ratio words=()
    for pair in f32/f32 bf16/f16; do
        theirs=${pair%/*} ours=${pair#*/}
        their_ms=$(torch_secs "$warmup" pytorch-"$theirs"-*.jsonl 2>/dev/null | median)
        our_ms=$(our_secs "$warmup" "$ours" | median)
        figure "PyTorch $theirs, a step" "$(ms "$their_ms")$(torch_memory "$theirs")"
        figure "runner $ours, a step" "$(ms "$our_ms")"
        [ "$their_ms" ] && [ "$our_ms" ] || continue
        ratio=$(reckon "$their_ms / $our_ms" '%.2f')
        figure "PyTorch's time over runner's, $theirs / $ours" "$ratio"
        words+=("runner's $ours is ${ratio}x as fast as PyTorch's $theirs")
    done
    [ "$code" -eq 0 ] || { fell "$code"; code=$?; because="$because${words[0]+; ${words[*]}}" && return "$code"; }
    because="${words[0]-}; ${words[1]-}${tiny:+ (PyTorch on the processor)}"
}

torch_memory() { # dtype
    local most
    most=$(sed -n 's/.*"gpu_bytes": \([0-9][0-9]*\).*/\1/p' pytorch-"$1"-*.jsonl 2>/dev/null | largest)
    [ -z "$most" ] || printf ', %s for tensors' "$(gib "$most")"
}

# The text that the reference run reads, as settings in `text`: the experiment's own corpus where it is at hand.
choose_text() {
    text=() reads="Tiny Shakespeare"
    local file=$corpus sum
    [ "$file" ] || [ ! -f "$bundle/corpus/input.txt" ] || file=$bundle/corpus/input.txt
    [ "$tiny" ] && file= && reads="salt-crown" && text=(data.corpus=salt-crown) && return
    if [ -z "$file" ]; then
        [ -f "${RUNNER_DATA_DIR:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/runner}/tinyshakespeare/input.txt" ] && return
        reads="the embedded play, because no corpus was given" text=(data.corpus=salt-crown)
        return
    fi
    sum=$(sha256sum <"$file")
    if [ "${sum%% *}" = "$tiny_shakespeare" ]; then
        # Under the name by which the program looks for it.
        mkdir -p "$out/data/tinyshakespeare" && cp "$file" "$out/data/tinyshakespeare/input.txt"
        export RUNNER_DATA_DIR=$out/data
    else
        reads="$(basename "$file"), which is not Tiny Shakespeare" text=('data.corpus=""' "data.path=$(json_string "$file")")
    fi
}

reference() { # dtype
    # What comes after the last step: the loss over all of the text, a checkpoint of 1.5 GB, samples, the report.
    local after=$((limit / 3 < 40 ? limit / 3 : 40)) code text reads name=shakespeare-124m-$1
    choose_text
    with tiny_gpt2 hardware.device=cuda "hardware.dtype=$1" "train.max_time=$((limit - after))" checkpoint.interval=2500 sample.interval=1000 \
        "experiment.name=$name" ${text[@]+"${text[@]}"}
    [ -z "$tiny" ] || sets+=(--set train.max_steps=20 --set train.final_eval=false --set checkpoint.interval=10
        --set sample.interval=10 --set sample.max_new_tokens=4 --set 'sample.prompts=["Maud:"]')
    call "$runner" "$experiments/shakespeare-124m.toml" "${sets[@]}"
    code=$?
    local run=runs/$name/seed=1337
    was_skipped "$run" && return 77
    local file=$run/metrics.csv step first last best secs each reason whole
    step=$(column "$file" step | tail -n 1)
    first=$(column "$file" train_loss | head -n 1 | short)
    last=$(column "$file" train_loss_ema | tail -n 1 | short)
    best=$(column "$file" train_loss | smallest | short)
    secs=$(column "$file" elapsed_secs | tail -n 1)
    each=$(column "$file" step_secs 3 | median)
    reason=$(of_manifest "$run" stop_reason)
    figure "text" "$reads"
    figure "ended" "$(of_manifest "$run" message)"
    figure "steps" "$step"
    figure "time" "${secs:+$(reckon "$secs" '%.0f') s}"
    figure "a step" "$(ms "$each")"
    figure "tokens per second" "$([ -z "$each" ] || reckon "$(of_manifest "$run" tokens_per_step) / $each" '%.0f')"
    whole=$(of_manifest "$run" model_flops_per_step)
    figure "model TFLOP/s" "$([ -z "$each" ] || [ -z "$whole" ] || reckon "$whole / $each / 1e12" '%.3g')"
    figure "loss of the first step" "$first"
    local at published
    for published in 100/6.234 500/2.567 1000/1.234 5000/0.345; do
        at=$(value_at "$file" train_loss "${published%/*}" | short)
        figure "loss of step ${published%/*}" "${at:+$at (published, PyTorch on a T4: ${published#*/})}"
    done
    figure "lowest loss of a step" "$best"
    figure "smoothed loss at the end" "$last"
    figure "loss over all of the text" "$(of_manifest "$run" corpus_loss | short)"
    figure "most GPU memory in use" "$(gib "$(column "$file" gpu_memory_bytes | largest)")"
    figure "samples" "$([ ! -f "$run/samples.md" ] || printf '[samples.md](<%s>)' "$part/$run/samples.md")"
    case $code in
    0 | 3) ;;
    *) fell "$code"; code=$?; because="$because${step:+ (after $step steps)}" && return "$code" ;;
    esac
    because="$(of_manifest "$run" message) (smoothed loss ${last:-unknown}; $reads)"
    [ "$reason" = target_reached ] || awk "BEGIN { exit !(${last:-1} < ${first:-0}) }" || {
        because="the loss did not fall: from ${first:-?} to ${last:-?}; $because" && return 1
    }
}
part_reference_f16() { reference f16; }
part_reference_f32() { reference f32; }
