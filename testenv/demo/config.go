package demo

import (
	"fmt"
	"strings"
)

// common is the configuration of both servers. It lies in the data directory
// and pulls in node.conf from the folder above, so that what belongs to one
// node survives a clone or a rewind, as it does with Debian's /etc/postgresql.
//
// Trust on the loopback address makes every local account a superuser of these
// servers while they run: good for throw-away data, never for anything else.
const common = `
include '../node.conf'
unix_socket_permissions = 0700
max_connections = 60
superuser_reserved_connections = 3
shared_buffers = 16MB
# mmap: nothing stays behind in /dev/shm when a server is killed
dynamic_shared_memory_type = mmap
wal_level = replica
wal_log_hints = on
max_wal_senders = 10
max_replication_slots = 10
hot_standby = on
max_wal_size = 256MB
min_wal_size = 64MB
wal_retrieve_retry_interval = 200ms
logging_collector = off
log_line_prefix = '%m [%p] %a '
log_checkpoints = off
timezone = 'UTC'
log_timezone = 'UTC'
jit = off
`

const hba = `# A demonstration: see common in config.go.
local all all trust
local replication all trust
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
`

// SlotName is the name of the slot that a node streams through.
func SlotName(node string) string { return "watchdog_" + node }

// nodeConf is the configuration of one node. Each names the other as its
// upstream and, when synchronous, as its synchronous standby, so that roles
// can change without a file being edited.
func (s *Server) nodeConf(other *Server, sync bool) string {
	var b strings.Builder
	set := func(key, value string) { fmt.Fprintf(&b, "%s = '%s'\n", key, strings.ReplaceAll(value, "'", "''")) }
	set("cluster_name", s.Name)
	set("listen_addresses", s.Host)
	set("port", fmt.Sprint(s.Port))
	set("unix_socket_directories", s.SocketDir)
	set("primary_conninfo", s.upstreamInfo(other))
	set("primary_slot_name", SlotName(s.Name))
	if sync {
		set("synchronous_standby_names", `"`+other.Name+`"`)
	}
	return b.String()
}

// upstreamInfo is the connection string by which s streams from other. It
// holds no password: pg_basebackup copies it into postgresql.auto.conf.
func (s *Server) upstreamInfo(other *Server) string {
	return fmt.Sprintf("host=%s port=%d user=postgres application_name=%s", other.Host, other.Port, s.Name)
}
