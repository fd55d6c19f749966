package replication

import "time"

// tables says which of our own tables a server has and lets us read.
type tables struct{ epoch, heartbeat bool }

func readScalars(a answer) (st Status, has tables, err error) {
	cols, err := a.one(24)
	if err != nil {
		return Status{}, tables{}, err
	}
	s := scan{cols: cols}
	st = Status{
		InRecovery:              s.bool(),
		ServerVersion:           s.int(),
		Flush:                   s.lsn(),
		Receive:                 s.lsn(),
		Replay:                  s.lsn(),
		ReplayPaused:            s.bool(),
		ApplyDelay:              s.millis(), // recovery_min_apply_delay's unit
		SynchronousStandbyNames: s.str(),
		SynchronousCommit:       s.str(),
		ReadOnly:                s.bool(),
		MaxConnections:          s.int(),
		Connections:             s.int(),
		MaxWalSenders:           s.int(),
		WalSenders:              s.int(),
		DataChecksums:           s.bool(),
		WalLogHints:             s.bool(),
		DataDirectory:           s.str(),
		StatsVisible:            s.bool(),
		SyncWaiters:             s.int(),
		XIDAge:                  s.int(),
		Conflicts:               s.uint64(),
		CommitExceptions:        s.int(),
	}
	has = tables{epoch: s.bool(), heartbeat: s.bool()}
	return st, has, s.err
}

// each reads every row of an answer; a refusal is an error, never no rows.
func each(a answer, read func(*scan)) error {
	if a.err != nil {
		return a.err
	}
	for _, cols := range a.rows {
		s := scan{cols: cols}
		read(&s)
		if s.err != nil {
			return s.err
		}
	}
	return nil
}

func readStandbys(st *Status, a answer) error {
	return each(a, func(s *scan) {
		st.Standbys = append(st.Standbys, StandbyRow{
			ApplicationName: s.str(), ClientAddr: s.str(), State: s.str(), SyncState: s.str(),
			Sent: s.lsn(), Write: s.lsn(), Flush: s.lsn(), Replay: s.lsn(), ReplyAge: s.millis(),
			SlotName: s.str(), SlotType: s.str(),
		})
	})
}

func readReceiver(st *Status, a answer) error {
	return each(a, func(s *scan) {
		st.Receiver = &ReceiverRow{
			Status: s.str(), SenderHost: s.str(), SenderPort: s.int(), SlotName: s.str(),
			Flushed: s.lsn(), Timeline: s.timeline(), MessageAge: s.millis(), Written: s.lsn(),
		}
	})
}

func readSlots(st *Status, a answer) error {
	return each(a, func(s *scan) {
		st.Slots = append(st.Slots, SlotRow{
			Name: s.str(), Type: s.str(), Active: s.bool(), WALStatus: s.str(), RestartLSN: s.lsn(), RetainedBytes: s.uint64(),
			SafeBytes: s.maybe(), Invalid: s.str(),
		})
	})
}

// readSettings also collects the names of all settings that wait for a restart.
func readSettings(st *Status, pending *[]string, a answer) error {
	st.Settings = make(map[string]string, len(matching))
	return each(a, func(s *scan) {
		name, value := s.str(), s.str()
		if parameterMatches(name) {
			st.Settings[name] = value
		}
		if s.bool() {
			*pending = append(*pending, name)
		}
	})
}

func readArchiver(st *Status, a answer) error {
	return each(a, func(s *scan) {
		st.Archiver = &ArchiverRow{Archived: s.uint64(), Failed: s.uint64(), LastFailedNow: s.bool(), LastAge: s.millis(),
			FailedAge: s.millis(), FailedWAL: s.str()}
	})
}

func readHeartbeats(st *Status, a answer) error {
	return each(a, func(s *scan) {
		st.Heartbeats = append(st.Heartbeats, HeartbeatRow{Node: s.str(), At: time.UnixMicro(s.int64()).UTC(), Age: s.millis()})
	})
}
