# Calls of programs within a part's time. `deadline` is the second of bash's clock at which the part has to end.

# call [-o FILE] COMMAND...: what it prints goes to the part's log.txt, standard output to FILE if given. Its exit code, or 124 when time
# has run out. A program that does not end when it is asked to gets ten seconds.
call() {
    local into=/dev/null left=$((deadline - SECONDS)) code
    if [ "$1" = -o ]; then
        into=$2
        shift 2
    fi
    { printf '$'; printf ' %q' "$@"; printf '\n'; } >>log.txt
    [ -z "$stopped" ] || return 143
    [ "$left" -ge 1 ] || return 124
    # `-k`, because BusyBox's `timeout` knows no long options.
    # In the background, so that a signal to this program is heard at once.
    if [ "$into" = /dev/null ]; then
        timeout -k 10 "$left" "$@" >>log.txt 2>&1 &
    else
        timeout -k 10 "$left" "$@" >"$into" 2>>log.txt &
    fi
    child=$!
    # A signal that came before there was anything to end.
    [ -z "$stopped" ] || end_call
    # The shell's own words on programs that were killed are left out.
    { wait "$child"; } 2>/dev/null
    code=$?
    # Where the wait itself was ended by a signal, the program may still be saving.
    if [ "$stopped" ]; then { wait "$child"; } 2>/dev/null; fi
    child=
    printf '(exit code %d)\n' "$code" >>log.txt
    # Out of time: 124, or where `timeout` is BusyBox's the program's own code after SIGTERM, or 137 after SIGKILL. What a killed program
    # has started goes on, perhaps for ever, and would stand in the next part's way.
    if [ "$SECONDS" -ge "$deadline" ]; then
        case $code in
        75 | 124 | 137 | 143)
            code=124
            end_strays
            ;;
        esac
    fi
    return "$code"
}

# What nvidia-smi says, in a file. A broken driver can keep it from ever ending, a reader of its output too.
smi() { # file, arguments
    command -v nvidia-smi >/dev/null && call -o "$1" timeout -k 2 10 nvidia-smi "${@:2}"
}

# Kills a process. One that waits within the driver ends when that lets it go, which nobody waits for.
kill_hard() { # process
    local tries=0
    # The shell's own words on it are left out.
    {
        kill -KILL "$1"
        while kill -0 "$1" && [ "$tries" -lt 100 ]; do
            sleep 0.1
            tries=$((tries + 1))
        done
        kill -0 "$1" || wait "$1"
    } 2>/dev/null
}

# Kills this bundle's programs that work in the part's folder.
end_strays() {
    local process
    for process in /proc/[0-9]*; do
        # The shell's own test first: there may be thousands of processes.
        if [ "$process/cwd" -ef . ] && [[ $(readlink "$process/exe" 2>/dev/null) == "$bundle"/bin/* ]]; then
            kill -KILL "${process#/proc/}" 2>/dev/null
        fi
    done
}

child=
# Asks the program that runs now to end.
end_call() { [ -z "$child" ] || kill -TERM "$child" 2>/dev/null; }

# What the last call said of its end: its first line that tells an error, or else its last.
last_words() {
    awk '/^\$ / { error = line = ""; next } /^\(exit code/ || /^ *$/ || /report\.md$/ { next } { line = $0 }
        error == "" && tolower($0) ~ /error|panicked|not found|no such/ { error = $0 }
        END { if (error != "") line = error; sub(/^ +/, "", line); print substr(line, 1, 400) }' log.txt
}

# Ends a part whose program did not end well: `fell CODE` sets the reason, and returns the part's code.
fell() {
    case $1 in
    124)
        # Another program of ours may have the GPU.
        local waits
        waits=$(grep -o 'waits: the GPU is taken.*' log.txt | tail -n 1)
        because="not done within its $limit s${waits:+: $waits}" && return 124
        ;;
    esac
    because=$(last_words)
    [ "$1" -ne 2 ] || ! [[ $because =~ $without_card ]] || return 77
    because="exit code $1: $because"
    return 1
}

# Whether the run in this folder was skipped, as one that needs a GPU is without one: then the reason is set.
was_skipped() { # folder of a run
    [ "$(of_manifest "$1" status)" = skipped ] || return 1
    because=$(of_manifest "$1" message)
}

# A value on one line of a run's manifest, the first one of its name, without the quotes, of which there may be one or three.
of_manifest() { # folder of a run, key
    sed -n "s/^$2 = [\"']*\(.*[^\"']\)[\"']*\$/\1/p" "$1/manifest.toml" 2>/dev/null | head -n 1
}
