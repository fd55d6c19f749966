package demo

import (
	"context"
	"time"
)

// SiteDoc describes a site to scripts: an interface, version 1.
type SiteDoc struct {
	V       int       `json:"v"`
	Dir     string    `json:"dir"`
	Sync    bool      `json:"synchronous"`
	Nodes   []NodeDoc `json:"nodes"`
	MailDir string    `json:"mail_dir"`
	AppURL  string    `json:"app_url"`
}

// NodeDoc is one node in it. A process id of 0 means that none runs; the role
// of a server that does not answer is unknown.
type NodeDoc struct {
	Name       string `json:"name"`
	Role       string `json:"role"` // primary, standby, unknown
	PgPort     int    `json:"pg_port"`
	SocketDir  string `json:"pg_socket_dir"`
	DataDir    string `json:"data_dir"`
	PgPid      int    `json:"pg_pid"`
	ServicePid int    `json:"service_pid"`
	Socket     string `json:"control_socket"`
	Config     string `json:"config"`
}

// Describe asks every server for its role, at most two seconds each.
func (s *Site) Describe(ctx context.Context) SiteDoc {
	d := SiteDoc{V: 1, Dir: s.Dir, Sync: s.Pair.Sync, Nodes: []NodeDoc{}, MailDir: s.MailDir, AppURL: s.AppURL}
	for _, n := range s.Nodes {
		server := s.Pair.Server(n.Name)
		if server == nil {
			continue // a witness
		}
		doc := NodeDoc{Name: n.Name, Role: server.role(ctx), PgPort: server.Port, SocketDir: server.SocketDir, DataDir: server.DataDir,
			PgPid: server.Pid(), Socket: n.Socket, Config: n.Config}
		if s.serviceRuns(n) {
			doc.ServicePid = n.ServicePid
		}
		d.Nodes = append(d.Nodes, doc)
	}
	return d
}

func (s *Site) serviceRuns(n *SiteNode) bool {
	return n.ServicePid != 0 && !ended(n.ServicePid) && s.isOurs(n.ServicePid, "run")
}

func (s *Server) role(ctx context.Context) string {
	if s.Pid() == 0 {
		return "unknown"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	switch standby, err := s.InRecovery(ctx); {
	case err != nil:
		return "unknown"
	case standby:
		return "standby"
	}
	return "primary"
}

// Primary is the node whose server answers as a primary; nil when none does.
func (s *Site) Primary(ctx context.Context) *SiteNode {
	for _, n := range s.Nodes {
		if server := s.Pair.Server(n.Name); server != nil && server.role(ctx) == "primary" {
			return n
		}
	}
	return nil
}
