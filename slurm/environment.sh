# Settings of every job file here; edit this file only, or set any of these in the environment before sbatch.
# Job files are submitted through slurm/submit.sh, which hands account, partition and sizes to sbatch.

: "${ACCOUNT:=}"                             # sbatch --account; empty: your default
: "${PARTITION:=}"                           # sbatch --partition; empty: the default
: "${NODES:=1}"
: "${GPUS_PER_NODE:=4}"                      # 0: train on CPUs
: "${PROCESSES_PER_NODE:=$((GPUS_PER_NODE > 0 ? GPUS_PER_NODE : 1))}"
: "${CPUS_PER_NODE:=80}"
: "${TIME_LIMIT:=3-00:00:00}"
: "${SIGNAL_BEFORE:=300}"                    # [s] before the limit: time to save
: "${MAIL_USER:=}"
: "${REPOSITORY:=$PWD}"                      # a clone that all nodes see
: "${MATTING_DATA:=$REPOSITORY/data}"        # root of the data sets
: "${LOGS:=$REPOSITORY/runs/slurm}"          # stdout and stderr of the jobs
: "${IMAGE:=}"                               # Singularity / Apptainer image; empty: the virtual environment below
: "${VENV:=$REPOSITORY/.venv}"
: "${SITE_MODULES:=}"                        # e.g. "singularity cuda"
: "${MASTER_PORT:=29500}"

export ACCOUNT PARTITION NODES GPUS_PER_NODE PROCESSES_PER_NODE CPUS_PER_NODE TIME_LIMIT SIGNAL_BEFORE MAIL_USER \
       REPOSITORY MATTING_DATA LOGS IMAGE VENV SITE_MODULES MASTER_PORT

if [ -n "$SITE_MODULES" ]; then
    # shellcheck disable=SC2086  # a list of names
    module load $SITE_MODULES
fi

# in_environment COMMAND...: inside the image, or with the virtual environment first in PATH
in_environment() {
    if [ -n "$IMAGE" ]; then
        local nv=()
        [ "$GPUS_PER_NODE" -gt 0 ] && nv=(--nv)
        singularity exec "${nv[@]}" --bind "$REPOSITORY,$MATTING_DATA" "$IMAGE" "$@"
    else
        PATH="$VENV/bin:$PATH" "$@"
    fi
}
