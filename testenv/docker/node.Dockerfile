# One server of the pair: PostgreSQL, our program and Debian's fence-agents.
# The database and the service beside it are two containers of this image.
#
# What costs nothing comes first: the classic builder on fuse-overlayfs walks the
# whole tree after every line, so a line at the end takes seconds.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

# The lab finds what is its own by the first. The second is inherited from the
# base that make-base makes; this image is none.
LABEL org.pg-watchdog.lab=1 org.pg-watchdog.lab.base=

# The programs themselves before Debian's wrappers of the same names; the fence
# agents are in /usr/sbin. C.UTF-8, else initdb would choose SQL_ASCII.
ENV PATH=/usr/lib/postgresql/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8

# `docker stop` sends this. SIGTERM is PostgreSQL's smart shutdown: it waits for
# the sessions to end, which pooled ones never do, until the engine kills it and
# the next start is a crash recovery. SIGINT is the fast one: sessions are ended,
# a checkpoint is written, standbys get everything. Our service ends at both.
STOPSIGNAL SIGINT
CMD ["watchdog", "version"]

# The data on a volume belongs to a number, not to a name: it must be the same
# for both releases and after every rebuild. Debian gives packages the next free
# system number, which differs, so the user comes before the package. 999 is the
# number of the official postgres image on Debian: a volume moves between that
# image and this one without a chown.
#
# A named volume takes owner and mode from the folder that it is first mounted
# on, so these are made here. No VOLUME: it would leave a nameless one behind
# each container that mounts nothing there. The helper's folder has group root,
# for a helper that is root without the capability to pass over modes.
RUN set -eu; \
    groupadd --system --gid 999 postgres; \
    useradd --system --uid 999 --gid 999 --home-dir /var/lib/postgresql --no-create-home \
        --shell /bin/bash --comment "PostgreSQL administrator" postgres; \
    install -d -o postgres -g postgres -m 0755 /var/lib/postgresql; \
    install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data; \
    install -d -o postgres -g postgres -m 0750 /var/lib/pg-watchdog /etc/pg-watchdog; \
    install -d -o postgres -g postgres -m 0755 /run/pg-watchdog; \
    install -d -o postgres -g root -m 0770 /run/pg-watchdog-helper; \
    install -d -o postgres -g postgres -m 2775 /run/postgresql

# The package would make a cluster of its own, and a key pair that every
# container of the image would share; neither is wanted.
RUN set -eu; \
    mkdir -p /etc/postgresql-common/createcluster.d; \
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/no-main.conf; \
    apt-get -qq -o APT::Update::Error-Mode=any update; \
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends postgresql; \
    rm -rf /var/lib/apt/lists/* /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem; \
    test -z "$(pg_lsclusters -h)"; \
    test "$(id -u postgres):$(id -g postgres)" = 999:999; \
    ln -s "$(cd /usr/lib/postgresql && echo [1-9]*)/bin" /usr/lib/postgresql/bin; \
    postgres --version

# Bookworm has all agents in one package of moderate size, which leaves out the
# programs that they call: fence_ipmilan without ipmitool answers nothing. Trixie
# has a package per agent, and all of them bring the SDKs of every cloud, more
# than 1 GB: there it is IPMI (iDRAC, iLO 3 and newer), Redfish, the older iDRAC
# and iLO, power strips, libvirt, Proxmox, VMware.
RUN set -eu; \
    . /etc/os-release; \
    agents="ipmitool openssh-client snmp telnet gnutls-bin fence-virt"; \
    case $VERSION_CODENAME in \
    bookworm) agents="$agents fence-agents" ;; \
    *) for name in ipmilan redfish drac drac5 ilo2 ilo-ssh ilo-mp ilo-moonshot rsb \
            apc apc-snmp cdu cyberpower-ssh eaton-snmp eaton-ssh emerson eps ifmib ipdu lindy-pdu netio \
            raritan raritan-px3 wti virsh pve vmware-rest vmware-soap dummy; \
        do agents="$agents fence-agents-$name"; done ;; \
    esac; \
    apt-get -qq -o APT::Update::Error-Mode=any update; \
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends $agents; \
    rm -rf /var/lib/apt/lists/*

USER postgres
# Last, so that a new build of ours costs this line only.
COPY watchdog /usr/local/bin/watchdog
