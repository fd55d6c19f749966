# The lab's own programs in one static binary: toy application, mail sink,
# ledger client. Nothing here belongs on a real site.
FROM scratch
LABEL org.pg-watchdog.lab=1
# /etc/passwd, /etc/group, /tmp and /var/lib/lab, which a volume may be put on.
ADD skeleton.tar /
ENV PATH=/usr/local/bin
USER 999:999
WORKDIR /var/lib/lab
CMD ["lab"]
COPY lab /usr/local/bin/lab
