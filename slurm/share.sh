# Work shared by the jobs of an array.

# own_share FOLDER: names in FOLDER, sorted, whose place modulo the number of jobs is this job's
own_share() {
    find -L "$1" -mindepth 1 -maxdepth 1 -not -name '.*' -not -name '*.partial-????????*' -printf '%f\n' | LC_ALL=C sort |
        awk -v n="${SLURM_ARRAY_TASK_COUNT:-1}" -v k="$((${SLURM_ARRAY_TASK_ID:-0} - ${SLURM_ARRAY_TASK_MIN:-0}))" \
            'NR % n == (k + 1) % n'
}

# result_name FOLDER CLIP: the clip's name without its suffix; with it where several clips differ in the suffix alone
result_name() {
    find -L "$1" -mindepth 1 -maxdepth 1 -not -name '.*' -printf '%f\n' | CLIP=$2 awk '
        function stem(name) { sub(/\.[^.]*$/, "", name); return name }
        stem($0) == stem(ENVIRON["CLIP"]) { count++ }
        END { print (count > 1 ? ENVIRON["CLIP"] : stem(ENVIRON["CLIP"])) }'
}

# value_of --flag ARGUMENTS...: what follows the flag
value_of() {
    local flag=$1
    shift
    while [ $# -gt 1 ]; do
        [ "$1" = "$flag" ] && { printf '%s\n' "$2"; return; }
        shift
    done
    echo "the argument $flag is needed" >&2
    exit 2
}
