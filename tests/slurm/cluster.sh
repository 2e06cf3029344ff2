#!/usr/bin/env bash
# A Slurm cluster of this one machine, as root: cluster.sh start FOLDER | cluster.sh stop FOLDER
# Then: export SLURM_CONF=FOLDER/slurm.conf. Needs apt-get install slurm-wlm munge; no cgroups, systemd or database.
set -euo pipefail
action=$1 folder=$2

start() {
    mkdir -p "$folder"/{state,spool,log} /run/munge /var/log/munge /var/lib/munge
    chown munge:munge /run/munge /var/log/munge /var/lib/munge
    chmod 755 /run/munge
    if ! pgrep -x munged > /dev/null; then
        runuser -u munge -- munged
        sleep 1                                  # it forks twice; the first process is gone by then
        cp /run/munge/munged.pid "$folder/munged.pid"
    fi
    cat > "$folder/slurm.conf" <<EOF
ClusterName=test
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
JobRequeue=1
KillWait=60
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
NodeName=localhost NodeAddr=127.0.0.1 CPUs=$(nproc --all) RealMemory=4000
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP
EOF
    export SLURM_CONF=$folder/slurm.conf
    slurmctld -f "$SLURM_CONF"
    slurmd -f "$SLURM_CONF" -N localhost
    for _ in $(seq 60); do
        sinfo -h -o %T 2>/dev/null | grep -q idle && return
        sleep 1
    done
    echo 'the cluster did not become idle' >&2
    tail "$folder"/log/*.log >&2
    exit 1
}

stop() {
    for name in slurmd slurmctld munged; do
        [ -f "$folder/$name.pid" ] && kill "$(cat "$folder/$name.pid")" 2> /dev/null || true
    done
}

"$action"
