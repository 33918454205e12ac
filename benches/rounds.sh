# shellcheck shell=bash
# What the benches share: rounds of programs, and what came of them. To be sourced by a script that
# sets `work` (a directory) and `runs`. The program NAME is the function do_NAME.

: "${work:?a directory}" "${runs:?how often each program is measured}"
# Figures are written with a point.
export LC_ALL=C

# What a program says is of no interest, unless it fails: then nothing here means anything.
fail() {
    echo "$1 failed:" >&2
    tail -n 20 "$work/said" >&2
    exit 1
}

# Bytes that this shell's programs have had read from a disk so far.
read_from_disk() {
    awk '$1 == "read_bytes:" { print $2 }' "/proc/$$/io"
}

# Runs a program, and writes seconds, CPU seconds (of it and its children, not of a server) and the
# bytes it had to wait for a disk for to $work/figures.
run_timed() {
    local TIMEFORMAT='%3R %3U %3S' before
    before=$(read_from_disk)
    { time "do_$1" >"$work/said" 2>&1; } 2>"$work/clock" || fail "$1"
    awk -v read="$(($(read_from_disk) - before))" '{ print $1, $2 + $3, read }' "$work/clock" >"$work/figures"
}

# Notes a run of a program.
timed() {
    run_timed "$1"
    cat "$work/figures" >>"$work/$1.times"
}

# Notes a run of a program, right after one of itself that is not counted. Where more than "$most_cold"
# bytes had to come from the disk all the same, the run was not warm: then both are done again, up to
# "$attempts" times, as long as that gives half of it or less, and the warmest counts. (What leaves nothing
# in the cache itself never has a warm run.)
timed_warm() {
    local attempt cold least='' before=''
    for ((attempt = 1; attempt <= ${attempts:-1}; attempt++)); do
        "do_$1" >"$work/said" 2>&1 || fail "$1"
        run_timed "$1"
        cold=$(awk '{ print $3 }' "$work/figures")
        if [[ -z $least ]] || ((cold < least)); then
            least=$cold
            cp "$work/figures" "$work/warmest"
        fi
        ((cold > ${most_cold:-0})) || break
        if [[ -n $before ]] && ((cold > before / 2)); then break; fi
        before=$cold
    done
    cat "$work/warmest" >>"$work/$1.times"
}

# Measures programs: $runs rounds, each program in turn with the others, so that a drift of the
# machine's speed hits all alike.
measure() {
    local run program
    for ((run = 1; run <= runs; run++)); do
        for program in "$@"; do
            timed_warm "$program"
        done
    done
}

# The median of column $2 (1: seconds, 2: CPU seconds, 3: bytes from the disk) of a program's figures.
median() {
    sort -n -k "$2,$2" "$work/$1.times" |
        awk -v column="$2" '{ all[NR] = $column } END { print all[int((NR + 1) / 2)] }'
}

# One line a program.
table() {
    local program
    printf '%-16s %10s %10s %10s %10s %14s\n' \
        program 'median s' 'least s' 'most s' 'CPU s' 'MB from disk'
    for program in "$@"; do
        sort -n "$work/$program.times" |
            awk -v name="$program" -v median="$(median "$program" 1)" -v cpu="$(median "$program" 2)" \
                -v disk="$(median "$program" 3)" \
                'NR == 1 { least = $1 } { most = $1 }
                 END {
                     printf "%-16s %10.3f %10.3f %10.3f %10.3f %14.1f\n", name, median, least, most, cpu, disk / 1e6
                 }'
    done
}

# ratio A B TEXT LIMIT: by how much A takes longer than B, and whether that is within the limit ('-':
# there is none). A limit that begins with '>=' is to be reached. The ratio of CPU seconds stands beside
# it, for a machine that is not quiet (cpu_ratios=no: not where a server does a part of the work). Left
# out where a program did not run.
ratio() {
    [[ -e $work/$1.times && -e $work/$2.times ]] || return 0
    awk -v a="$(median "$1" 1)" -v b="$(median "$2" 1)" -v name="$3" -v limit="$4" \
        -v cpu_a="$(median "$1" 2)" -v cpu_b="$(median "$2" 2)" -v cpu_ratios="${cpu_ratios:-yes}" '
        BEGIN {
            value = a / b
            at_least = sub(/^>=/, "", limit)
            bound = limit + 0
            verdict = limit == "-" ? "" \
                : sprintf("limit %s%s  %s", at_least ? ">=" : "", limit,
                    (at_least ? value >= bound : value <= bound) ? "met" : "NOT MET")
            by_cpu = cpu_b > 0 && cpu_ratios != "no" ? sprintf("(CPU %.2f)", cpu_a / cpu_b) : ""
            printf "%-50s %7.2f  %-12s %s\n", name, value, by_cpu, verdict
        }'
}
