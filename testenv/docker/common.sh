# What make-base and build share; it is sourced, not run.
# shellcheck shell=bash

export LC_ALL=C

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
	say "$*"
	exit 1
}

# need_engine ends with the remedy when no engine answers. The causes are told
# apart by what is there, not by the client's words, which change.
need_engine() {
	command -v docker >/dev/null || die "there is no docker command here; next: apt-get install docker.io"
	timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1 && return
	local socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
	case $socket in
	unix://*) socket=${socket#unix://} ;;
	*) die "the docker engine at DOCKER_HOST=$socket does not answer; next: check that address, or unset DOCKER_HOST" ;;
	esac
	[ -S "$socket" ] || die "no docker engine runs here: there is no socket $socket; next: systemctl start docker"
	[ -w "$socket" ] || die "user $(id -un) may not use the docker engine: no permission for $socket; next: run this as root, or usermod -aG docker $(id -un) and log in again"
	die "the docker engine behind $socket does not answer within 10 s; next: systemctl restart docker, then journalctl -u docker"
}

# need_room MEGABYTES DIR REMEDY ends with the remedy when DIR's file system has
# less.
need_room() {
	local free
	free=$(df --output=avail -B1M "$2" 2>/dev/null | tail -n 1 | tr -d ' ') || return 0
	case $free in
	'' | *[!0-9]*) return 0 ;; # a file system that does not tell
	esac
	[ "$free" -ge "$1" ] || die "only $free MB are free below $2, $1 MB are needed; next: $3"
}

# need_engine_room MEGABYTES is need_room for the engine's images, where they are
# on this machine.
need_engine_room() {
	local dir
	dir=$(timeout 10 docker info --format '{{.DockerRootDir}}' 2>/dev/null) || return 0
	[ ! -d "$dir" ] || need_room "$1" "$dir" "docker system df shows what docker holds there; docker image prune removes what nobody uses"
}

has_image() { docker image inspect "$1" >/dev/null 2>&1; }
