#!/bin/sh
{# Values are quoted for the shell by themselves (provisioning/texts.py). #}
# Installs the agents on the first start. The unit starts this again until all steps are done; each is done once.
set -eu
SETUP=/home/postinstall/Setup
STATUS=$SETUP/installer.status
DONE=$SETUP/.base_pkg_install_done
LOG=/var/log/edge-installer.log
[ ! -e "$DONE" ] || exit 0
mkdir -p "$SETUP"
touch "$STATUS"
exec >> "$LOG" 2>&1

step() {
    ! grep -qx "$1" "$STATUS" || return 0
    echo "$(date -u +%FT%TZ) $1"
    "$1"
    echo "$1" >> "$STATUS"
}

users() {
    id=500
    for name in node-agent hardware-discovery-agent cluster-agent platform-update-agent platform-telemetry-agent \
        platform-observability-agent platform-manageability-agent caddy; do
        getent group bm-agents > /dev/null || groupadd --system bm-agents
        getent passwd "$name" > /dev/null || useradd --system --uid "$id" --gid bm-agents --no-create-home \
            --shell /usr/sbin/nologin "$name"
        id=$((id + 1))
    done
}

kernel() {
    {
        echo fs.inotify.max_user_instances={{ infra.systemConfig.FsInotifyMaxUserInstances }}
        echo vm.overcommit_memory={{ infra.systemConfig.VmOverCommitMemory }}
        echo kernel.panic_on_oops={{ infra.systemConfig.KernelPanicOnOops }}
        echo kernel.panic={{ infra.systemConfig.KernelPanic }}
    } > /etc/sysctl.d/90-edge.conf
    sysctl --system > /dev/null
}

source_list() {
    # Caddy on this machine adds the release service's token, and forwards.
    repository={{ infra.enDebianPackagesRepo }}
    [ -n "$repository" ] || return 0
    {
        echo "Types: deb"
        echo "URIs: http://localhost:60444/$repository"
        echo "Suites: $(. /etc/os-release && echo "$VERSION_CODENAME")"
        echo "Components: main"
        echo "Trusted: yes"
    } > /etc/apt/sources.list.d/edge-node.sources
}

install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --allow-downgrades "$1"
}

first() {
    apt-get update
    install {{ "node-agent" ~ ("=" ~ infra.packages["node-agent"] if "node-agent" in infra.packages else "") }}
}

agents() {
    apt-get update
{% for name in infra.packages | sort if name != "node-agent" %}
    install {{ name ~ "=" ~ infra.packages[name] }}
{% endfor %}
}

tidy() {
    rm -f /etc/apt/apt.conf
}

step users
step kernel
step source_list
step first
step agents
step tidy
touch "$DONE"
