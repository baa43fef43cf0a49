# The parts but the reference run. Each is called in a folder of its own, sets `because` (its verdict in words) and returns 0 (passed), 77
# (not possible here), 124 (ran out of time) or another number (failed).

# Settings that make an experiment tiny, beside its own.
tiny_model() { [ -z "$tiny" ] || printf '%s\n' model.n_layer=1 model.n_head=2 model.n_embd=16; }
# The same for GPT-2's sizes and vocabulary.
tiny_gpt2() {
    [ -z "$tiny" ] || printf '%s\n' 'model.preset=""' model.n_layer=1 model.n_head=2 model.n_embd=16 model.block_size=32 model.vocab_size=64 \
        data.tokenizer=char train.batch_size=2 train.sequence_length=16
}
# with FUNCTION SETTING...: the arguments `--set SETTING` of both, in the array `sets`.
with() {
    local setting all=()
    mapfile -t all < <("$1")
    sets=()
    for setting in ${all[@]+"${all[@]}"} "${@:2}"; do sets+=(--set "$setting"); done
}

part_doctor() {
    local code=0
    doctor_says || code=$?
    # Last: where it hangs, the doctor has had its time.
    smi nvidia-smi.txt
    return "$code"
}
doctor_says() {
    call -o doctor.json "$runner" doctor --json
    local code=$? computed
    no_card=""
    [ "$code" -ne 124 ] || { fell 124; return; }
    figure "runner" "$(sed -n 's/.*"text": "\(runner [^"]*\)".*/\1/p' doctor.json | head -n 1)"
    figure "processor" "$(sed -n 's/.*"text": "\([^"]* cores[^"]*\)".*/\1/p' doctor.json | head -n 1)"
    sed -n 's/.*"text": "\(cuda:[0-9][^"]*\)".*/\1/p' doctor.json | while read -r line; do figure "GPU" "$line"; done
    figure "driver" "$(sed -n 's/.*"text": "\([^"]*driver[^"]*\)".*/\1/p' doctor.json | head -n 1)"
    computed=$(sed -n 's/.*"text": "\(cuda:[0-9]* computes[^"]*\)".*/\1/p' doctor.json | head -n 1)
    because=$(findings problem)
    case $code in
    # That there is no GPU is a note to the doctor where nothing suggests that there should be one.
    0) [ "$computed" ] && because=$computed && return 0
        because=$(findings note) no_card="the doctor finds no GPU"
        return 77
        ;;
    2) [ -z "$computed" ] && [[ $because =~ $without_card ]] && no_card="the doctor finds no GPU that can be used" && return 77
        return 1
        ;;
    *) fell "$code" ;;
    esac
}

# What an error says where there is no GPU, or no driver for it.
readonly without_card='no CUDA device|needs a CUDA GPU|driver does not start|driver is not installed|built without CUDA'
no_card=""

# What the doctor found of this kind (problem, note) and what it says to do, without how fast the program was built to be.
findings() {
    awk -v mark="\"$1\"" '/"mark":/ { take = index($0, mark); said = 0; next }
        take && /"(text|mend)":/ {
            mend = /"mend":/
            sub(/.*"(text|mend)": "/, ""); sub(/",?$/, ""); gsub(/\\"/, "\"")
            if (!mend) said = $0 !~ /optimisation/
            if (said) print (mend ? "-> " : "") $0
        }' doctor.json |
        awk '{ printf "%s%s", (NR == 1 ? "" : /^->/ ? " " : "; "), $0 }'
}

smoke() { # experiment
    with tiny_model
    [ -z "$tiny" ] || sets+=(--set train.batch_size=2 --set train.sequence_length=16 --set train.max_steps=20
        --set checkpoint.interval=20 --set sample.max_new_tokens=2)
    call "$runner" "$experiments/$1.toml" ${sets[@]+"${sets[@]}"}
    local code=$? run device
    for run in runs/"$1"/*/; do
        was_skipped "$run" && return 77
        device=$(of_manifest "$run" device)
        figure "a step on ${device:-?}" "$(ms "$(column "$run/metrics.csv" step_secs 3 | median)")"
    done
    because=$(grep -ho 'the losses agree.*\|THE LOSSES DISAGREE.*' log.txt | head -n 1)
    case $code in
    0) [ "$because" ] || { because="no verdict on the losses: $(last_words)" && return 1; } ;;
    4) [ "$because" ] && return 1 ;;
    esac
    [ "$code" -eq 0 ] || fell "$code"
}
part_smoke_f32() { smoke cuda-smoke; }
part_smoke_f16() { smoke cuda-smoke-f16; }

# Waits until the run of this folder has a checkpoint of this step, as long as its process lives and there is time.
wait_for_checkpoint() { # folder, checkpoint, process
    while [ ! -e "$1/checkpoints/$2" ]; do
        kill -0 "$3" 2>/dev/null || return 1
        [ "$SECONDS" -lt "$deadline" ] || return 124
        sleep 0.02
    done
}

part_resume() {
    # Steps long enough to be caught in the middle: a small model, many batches a step.
    with tiny_model hardware.device=cuda train.max_steps=24 train.gradient_accumulation_steps=32 train.eval_interval=0 \
        checkpoint.interval=8 checkpoint.keep_last=8 sample.interval=0
    [ -z "$tiny" ] || sets+=(--set train.max_steps=9 --set schedule.warmup_steps=2 --set checkpoint.interval=3 --set train.gradient_accumulation_steps=2
        --set train.batch_size=2 --set train.sequence_length=16)
    local first=step-000008 name code
    [ -z "$tiny" ] || first=step-000003
    local -A runs_of=()
    for name in alone killed; do
        call -o "$name.txt" "$runner" prepare "$experiments/cuda-smoke.toml" "${sets[@]}" --runs-dir "$name"
        code=$?
        [ "$code" -eq 0 ] || { fell "$code"; return; }
        runs_of[$name]=$(tail -n 1 "$name.txt")
        was_skipped "${runs_of[$name]}" && return 77
    done
    call "$runner" exec --quiet "${runs_of[alone]}"
    code=$?
    was_skipped "${runs_of[alone]}" && return 77
    [ "$code" -eq 0 ] || { fell "$code"; return; }

    "$runner" exec --quiet "${runs_of[killed]}" >>log.txt 2>&1 &
    child=$!
    wait_for_checkpoint "${runs_of[killed]}" "$first" "$child"
    code=$?
    kill_hard "$child"
    child=
    [ "$code" -ne 124 ] || { fell 124; return; }
    local at
    at=$(column "${runs_of[killed]}/metrics.csv" step | tail -n 1)
    if [ "$(of_manifest "${runs_of[killed]}" status)" != running ]; then
        because="the run ended before it could be killed, as $(of_manifest "${runs_of[killed]}" status)"
        return 1
    fi
    call "$runner" exec --quiet "${runs_of[killed]}"
    code=$?
    [ "$code" -eq 0 ] || { fell "$code"; return; }

    local both single worst_loss worst_norm attempts
    read -r both single worst_loss < <(apart "${runs_of[alone]}/metrics.csv" "${runs_of[killed]}/metrics.csv" train_loss)
    read -r _ _ worst_norm < <(apart "${runs_of[alone]}/metrics.csv" "${runs_of[killed]}/metrics.csv" grad_norm)
    attempts=$(column "${runs_of[killed]}/metrics.csv" attempt | largest)
    figure "killed when its record ended at step" "$at"
    figure "attempts" "$attempts"
    figure "largest relative difference of a step's loss" "$worst_loss"
    figure "largest relative difference of a step's gradient norm" "$worst_norm"
    because="$both steps, losses within $worst_loss and gradient norms within $worst_norm of the run that was not killed"
    [ "$both" -gt 0 ] && [ "$single" -eq 0 ] && [ "${attempts:-1}" -ge 2 ] || { because="the records do not fit: $because; $single steps are in one alone" && return 1; }
    # Sums on a GPU are taken in any order: what cuda-smoke.toml allows between two devices.
    awk "BEGIN { exit !($worst_loss <= 1e-3) }" || { because="more than 0.001 apart: $because" && return 1; }
}

part_memory() {
    local dtype code before="" estimate peak ratio words=() bad=
    # Before anything of ours is on the GPU; nothing where nobody tells.
    smi before.txt -i "${CUDA_VISIBLE_DEVICES:-0}" --query-gpu=memory.used --format=csv,noheader,nounits
    before=$(head -n 1 before.txt 2>/dev/null)
    if [[ $before =~ ^[0-9]+$ ]]; then before=$((before * 1048576)); else before=; fi
    [ -z "$before" ] || figure "in use before" "$(gib "$before")"
    for dtype in f32 f16; do
        with tiny_gpt2 data.corpus=salt-crown hardware.device=cuda "hardware.dtype=$dtype" hardware.monitor_interval_secs=0.05 \
            train.max_steps=10 train.final_eval=false checkpoint.interval=0 sample.interval=0 target.threshold=0 \
            "experiment.name=memory-$dtype"
        call -o "plan-$dtype.json" "$runner" plan --json "$experiments/shakespeare-124m.toml" "${sets[@]}"
        code=$?
        [ "$code" -eq 0 ] || { fell "$code"; return; }
        estimate=$(json_number "plan-$dtype.json" memory_bytes)
        call "$runner" "$experiments/shakespeare-124m.toml" "${sets[@]}" --quiet
        code=$?
        local run=runs/memory-$dtype/seed=1337
        was_skipped "$run" && return 77
        [ "$code" -eq 0 ] || { fell "$code"; return; }
        peak=$(column "$run/metrics.csv" gpu_memory_bytes | largest)
        [ "$peak" ] || { because="the driver's management library (NVML) tells no memory" && return 77; }
        peak=$(reckon "$peak - ${before:-0}" '%.0f')
        ratio=$(reckon "$peak / $estimate" '%.2f')
        figure "$dtype: estimate of \`runner plan\`" "$(gib "$estimate")"
        figure "$dtype: measured, with CUDA's own context${before:+, beyond what was in use before}" "$(gib "$peak")"
        words+=("$dtype $(gib "$peak"), $ratio of the estimate")
        # The estimate leaves out CUDA's own context and cuBLAS's workspace, up to a gigabyte.
        awk "BEGIN { exit !($peak - 1e9 <= 1.5 * $estimate && $peak >= 0.5 * $estimate) }" || bad=1
    done
    because="${words[0]-}; ${words[1]-}"
    [ -z "$bad" ] || { because="far from the estimate: $because" && return 1; }
}
