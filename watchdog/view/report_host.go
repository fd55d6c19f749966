package view

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// HostReport is what the node says of itself.
type HostReport struct {
	DataFreeBytes  int64         `json:"data_free_bytes"` // -1 when not known
	DataTotalBytes int64         `json:"data_total_bytes"`
	LoopGap        time.Duration `json:"loop_gap"` // worst scheduling delay of the last minute
	// Volumes are the file systems that matter here, each once; nil: not known.
	Volumes []VolumeReport `json:"volumes,omitempty"`
	// Archive is what waits for the archiver on this node's disk; nil: not known.
	Archive *ArchiveReport `json:"archive,omitempty"`
	// WALArchive is what a look into the archive found; nil: not known, or nowhere
	// to look.
	WALArchive *WALArchiveReport `json:"wal_archive,omitempty"`
	// Faults say what the node could not measure or write of its own.
	Faults []string `json:"faults,omitempty"`
}

// What a file system is used for.
const (
	VolumeData  = "data"  // the data directory
	VolumeWAL   = "wal"   // pg_wal
	VolumeState = "state" // the service's own state
)

// VolumeReport is one file system as its own node measured it. Bytes count as
// df does: the share kept for root is left out.
type VolumeReport struct {
	Uses       []string `json:"uses"`
	FreeBytes  int64    `json:"free_bytes"`
	TotalBytes int64    `json:"total_bytes"`
	FreeInodes int64    `json:"free_inodes"`
	// TotalInodes is 0 on a file system that has no limit of its own.
	TotalInodes int64 `json:"total_inodes"`
	// BytesPerHour is the present rate; nil until there are samples enough.
	BytesPerHour *int64 `json:"bytes_per_hour,omitempty"`
	// FullIn is the time left at the present rate; 0: not known, or not growing.
	FullIn time.Duration `json:"full_in,omitempty"`
	Age    time.Duration `json:"age"` // since it was measured
}

// ArchiveReport counts the segments that wait for the archiver (.ready files).
type ArchiveReport struct {
	Ready  int           `json:"ready"`
	Oldest time.Duration `json:"oldest"` // age of the file that waits longest, by its own clock; 0 without any
	Age    time.Duration `json:"age"`    // since it was counted
}

// WALArchiveReport is what one node found in a directory of archived segments.
type WALArchiveReport struct {
	Segments int    `json:"segments"`
	Gaps     int    `json:"gaps"`            // places where segments are missing between others
	First    string `json:"first,omitempty"` // the first missing segment
	// Histories are timelines whose history file is missing.
	Histories []replication.Timeline `json:"histories,omitempty"`
	Fault     string                 `json:"fault,omitempty"` // why the directory could not be read
	Age       time.Duration          `json:"age"`             // since the look
}
