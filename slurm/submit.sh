#!/usr/bin/env bash
# slurm/submit.sh JOB.sbatch ARGUMENTS...: sbatch with the account, partition and sizes of environment.sh.
#   slurm/submit.sh train.sbatch --stage 1 --model-variant mobilenetv3
#   ARRAY=0-9 slurm/submit.sh custom_inference.sbatch --dataset NAME --data-dir DIR --data-out OUT
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/environment.sh"
job=$here/$1
shift
[ -f "$job" ] || { echo "submit.sh: no such job file: $job; there are: $(cd "$here" && ls ./*.sbatch | xargs)" >&2; exit 2; }
mkdir -p "$LOGS"
name=$(basename "$job" .sbatch)
options=(--job-name "$name" --chdir "$REPOSITORY" --time "$TIME_LIMIT" --cpus-per-task "$CPUS_PER_NODE"
         --output "$LOGS/$name-$([ -n "${ARRAY:-}" ] && echo %A_%a || echo %j).out" --export ALL)
if grep -q srun "$job"; then
    options+=(--nodes "$NODES" --ntasks-per-node 1 --signal "B:USR1@$SIGNAL_BEFORE")
fi
[ -n "$ACCOUNT" ] && options+=(--account "$ACCOUNT")
[ -n "$PARTITION" ] && options+=(--partition "$PARTITION")
[ -n "$MAIL_USER" ] && options+=(--mail-user "$MAIL_USER" --mail-type END,FAIL)
[ -n "${ARRAY:-}" ] && options+=(--array "$ARRAY")
[ "$GPUS_PER_NODE" -gt 0 ] && options+=(--gpus-per-node "$GPUS_PER_NODE")
exec sbatch "${options[@]}" "$job" "$@"
