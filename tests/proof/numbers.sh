# Numbers out of metrics.csv and JSON, with awk alone.

# column FILE NAME [FIRST]: its numbers, one a line, of rows of step FIRST (1) and later.
column() {
    awk -F, -v name="$2" -v first="${3:-1}" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        (name in at) && $at["step"] + 0 >= first && $at[name] != "" { print $at[name] }' "$1" 2>/dev/null
}

# value_at FILE NAME STEP
value_at() {
    awk -F, -v name="$2" -v step="$3" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["step"] == step { print $at[name] }' "$1" 2>/dev/null
}

median() { sort -g | awk '{ x[NR] = $1 } END { if (NR) print (NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2) }'; }
largest() { sort -g | tail -n 1; }
smallest() { sort -g | head -n 1; }
short() { awk '{ printf "%.4g\n", $1 }'; }
# Arithmetic with fractions: `reckon 'a / b' FORMAT`; nothing where a number is missing.
reckon() { awk "BEGIN { x = ($1); printf \"${2:-%.3g}\", x }" 2>/dev/null; }
gib() { [ -z "$1" ] || awk -v x="$1" 'BEGIN { if (x < 1073741824) printf "%.4g MiB", x / 1048576; else printf "%.2f GiB", x / 1073741824 }'; }
ms() { [ -z "$1" ] || reckon "$1 * 1000" '%.4g ms'; }

# json_number FILE KEY: the first number of this key.
json_number() { sed -n "s/.*\"$2\": *\([0-9.eE+-]*\),\{0,1\}\$/\1/p" "$1" | head -n 1; }

# figure NAME VALUE: one line of the page's figures for the part under way; without a value there is none.
figure() {
    [ -z "$2" ] || printf '%s\t%s\t%s\n' "$part" "$1" "$2" >>"$out/figures.tsv"
}

# apart FILE FILE COLUMN: rows of the first that have a partner, rows of either that have none, and the largest relative difference.
apart() {
    awk -F, -v name="$3" '
        FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["step"] == 0 { next }
        NR == FNR { one[$at["step"]] = $at[name]; n++; next }
        ($at["step"] in one) {
            both++
            a = one[$at["step"]]; b = $at[name]
            if (a == b) next
            scale = a < 0 ? -a : a
            d = a - b; if (d < 0) d = -d
            # Not a number, or infinite, in one alone: as far apart as can be.
            d = (d == d && scale > 0) ? d / scale : 1e30
            if (!(d <= worst)) worst = d
            next
        }
        { alone++ }
        END { printf "%d %d %.3g\n", both, n - both + alone, worst }' "$1" "$2"
}
