# The results as a page for people and as JSON for programs. Written anew after each part, so that something is there whatever happens.

json_string() {
    local text=$1
    text=${text//\\/\\\\} text=${text//\"/\\\"} text=${text//$'\t'/ } text=${text//$'\r'/ } text=${text//$'\n'/ }
    printf '"%s"' "${text//[[:cntrl:]]/ }"
}

# A table's cell: nothing in it may end it.
cell() { local text=${1//|/\\|} && printf '%s' "${text//$'\n'/ }"; }

page() {
    local part name value first=1
    {
        printf '# runner on a GPU\n\n'
        printf '%s, at most %s min%s; %s s so far. `%s`, %s.\n' "$started" "$minutes" "${tiny:+, TINY: the figures mean nothing}" "$SECONDS" \
            "$called" "$(uname -srm)"
        [ ! -f "$bundle/BUILD" ] || printf '%s.\n' "$(paste -sd' ' "$bundle/BUILD")"
        printf '\n| part | verdict | time | |\n|---|---|---:|---|\n'
        for part in $all_parts; do
            is_asked "$part" || { printf '| %s | not asked for | | |\n' "$part" && continue; }
            printf '| %s | %s | %s | %s |\n' "$part" "${verdict[$part]:-not run}" "${took[$part]:+${took[$part]} s}" "$(cell "${why[$part]:-}")"
        done
        for part in $all_parts; do
            grep -q "^$part	" "$out/figures.tsv" || continue
            printf '\n## %s\n\n| | |\n|---|---|\n' "$part"
            while IFS=$'\t' read -r _ name value; do
                printf '| %s | %s |\n' "$(cell "$name")" "$(cell "$value")"
            done < <(grep "^$part	" "$out/figures.tsv")
            links "$part"
        done
        cat <<'TEXT'

Each folder has the part's `log.txt`, its runs (`runs/`, without checkpoints unless `--keep` was given) and comparisons (`reports/`).
The same for programs: `verdicts.json`, and `figures.tsv` (part, figure, value). To report something, send this folder; runs record
the name and the hardware of the machine, and the paths that were used.
TEXT
    } >"$out/.figures.md" && mv "$out/.figures.md" "$out/figures.md"
    {
        printf '{\n  "started": %s,\n  "tiny": %s,\n  "parts": [' "$(json_string "$started")" "$([ "$tiny" ] && echo true || echo false)"
        for part in $all_parts; do
            is_asked "$part" || continue
            [ "$first" ] && printf '\n' || printf ',\n'
            first=
            printf '    {"part": "%s", "verdict": "%s", "secs": %s, "why": %s}' "$part" "${verdict[$part]:-not run}" "${took[$part]:-null}" \
                "$(json_string "${why[$part]:-}")"
        done
        printf '\n  ]\n}\n'
    } >"$out/.verdicts.json" && mv "$out/.verdicts.json" "$out/verdicts.json"
}

# Reports of the part's runs, and its comparison.
links() { # part
    local file found=
    for file in "$out/$1"/reports/*.md "$out/$1"/*/*/*/report.md; do
        [ -f "$file" ] && [ "${file##*/}" != README.md ] || continue
        [ "$found" ] || printf '\n'
        found=1
        file=${file#"$out"/}
        printf -- '- [%s](<%s>)\n' "$file" "$file"
    done
}
