# HAProxy of Debian with the lab's configuration.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
# As in node.Dockerfile.
LABEL org.pg-watchdog.lab=1 org.pg-watchdog.lab.base=
# -W: a master process; `docker kill -s USR2` makes it read its file again.
# SIGTERM, the default of `docker stop`, ends it at once. SIGUSR1 would wait for
# sessions to end, and pooled database sessions never do.
CMD ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
RUN set -eu; \
    apt-get -qq -o APT::Update::Error-Mode=any update; \
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends haproxy; \
    rm -rf /var/lib/apt/lists/*
# Its ports are above 1024, so it never needs root.
USER haproxy
COPY haproxy.cfg /etc/haproxy/haproxy.cfg
