package replication

import (
	"context"
	"fmt"
)

// slot is the state of one replication slot; the zero value: it is not there.
type slot struct {
	exists, physical, active, reserved, lost bool
}

func (a *Actor) slot(ctx context.Context, name string) (slot, error) {
	s, err := a.row(ctx, fmt.Sprintf("read slot %q", name), 5, `SELECT count(*) > 0, coalesce(bool_or(slot_type = 'physical'), false),
 coalesce(bool_or(active), false), coalesce(bool_or(restart_lsn IS NOT NULL), false), coalesce(bool_or(wal_status = 'lost'), false)
 FROM pg_replication_slots WHERE slot_name = `+quoteLiteral(name))
	if err != nil {
		return slot{}, err
	}
	got := slot{exists: s.bool(), physical: s.bool(), active: s.bool(), reserved: s.bool(), lost: s.bool()}
	return got, s.err
}

// CreatePhysicalSlot makes a physical slot that keeps WAL from now on
// (reserve), before any standby has used it. It is idempotent: a slot that is
// there and keeps WAL is left alone; an inactive one that keeps none, or has
// lost it, is made anew.
func (a *Actor) CreatePhysicalSlot(ctx context.Context, name string, reserve bool) error {
	if err := CheckSlotName(name); err != nil {
		return err
	}
	got, err := a.slot(ctx, name)
	switch {
	case err != nil:
		return err
	case got.exists && !got.physical:
		return fmt.Errorf("create slot %q: a logical slot has this name", name)
	case got.exists && (got.active || !got.lost && (got.reserved || !reserve)):
		return nil
	case got.exists:
		if err := a.DropSlot(ctx, name); err != nil {
			return err
		}
	}
	act := fmt.Sprintf("create slot %q", name)
	if err := a.exec(ctx, act, fmt.Sprintf("SELECT pg_create_physical_replication_slot(%s, %t)", quoteLiteral(name), reserve)); err != nil {
		return err
	}
	got, err = a.slot(ctx, name)
	if err == nil && (!got.exists || reserve && !got.reserved) {
		err = fmt.Errorf("%s: read back exists %t, keeps WAL %t", act, got.exists, got.reserved)
	}
	return err
}

// DropSlot drops a slot; one that is not there is dropped already. An active
// slot is refused by the server (55006).
func (a *Actor) DropSlot(ctx context.Context, name string) error {
	if err := CheckSlotName(name); err != nil {
		return err
	}
	return a.exec(ctx, fmt.Sprintf("drop slot %q", name),
		"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = "+quoteLiteral(name))
}
