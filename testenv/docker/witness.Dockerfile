# A service that sees and remembers, without PostgreSQL: nothing but our program.
# There is no shell, no CA certificate and no time zone in it; what has to be
# mounted is the configuration with its keys, and ca_file when mail goes by TLS.
FROM scratch
LABEL org.pg-watchdog.lab=1

# An archive, for owners and modes: scratch has no mkdir. It holds /etc/passwd
# and /etc/group (root, postgres), /etc/pg-watchdog, /var/lib/pg-watchdog,
# /run/pg-watchdog and /tmp.
ADD skeleton.tar /
ENV PATH=/usr/local/bin
# A number, which the engine can tell from root without reading /etc/passwd; the
# same one as PostgreSQL's in the node image.
USER 999:999
WORKDIR /var/lib/pg-watchdog
CMD ["watchdog", "version"]
COPY watchdog /usr/local/bin/watchdog
