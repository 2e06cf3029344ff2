# Work shared by the jobs of an array.

# own_share FOLDER: names in FOLDER, sorted, whose place modulo the number of jobs is this job's
own_share() {
    find -L "$1" -mindepth 1 -maxdepth 1 -not -name '.*' -printf '%f\n' | LC_ALL=C sort |
        awk -v n="${SLURM_ARRAY_TASK_COUNT:-1}" -v k="$((${SLURM_ARRAY_TASK_ID:-0} - ${SLURM_ARRAY_TASK_MIN:-0}))" \
            'NR % n == (k + 1) % n'
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
