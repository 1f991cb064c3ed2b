package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"lembra"
	"lembra/internal/engine"
	"lembra/internal/record"
)

// pageMax is how much Check asks for at once.
const pageMax = 1000

// farFuture is after whatever a test lets expire.
func farFuture() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// A Checked store is what Check looks at.
type Checked interface {
	engine.Log
	engine.Directory
	engine.Janitor
}

// Check reads all logs that are not erased, computes what follows from their
// records, and returns an error for each head and index entry that says
// otherwise. Nothing may be written meanwhile.
func Check(ctx context.Context, store Checked) error {
	c := &checker{store: store, tenants: make(map[lembra.Tenant][]*checkedLog)}
	var after record.LogID
	for {
		heads, err := store.Logs(ctx, after, pageMax)
		if err != nil {
			return fmt.Errorf("list logs: %w", err)
		}
		for _, head := range heads {
			c.log(ctx, head)
			after = head.Log
		}
		if len(heads) < pageMax {
			break
		}
	}
	for tenant, logs := range c.tenants {
		c.tenant(ctx, tenant, logs)
	}
	c.expiries(ctx)
	return errors.Join(c.errs...)
}

type checker struct {
	store   Checked
	tenants map[lembra.Tenant][]*checkedLog
	errs    []error
}

// A checkedLog is a log's records and what follows from them.
type checkedLog struct {
	view    *view
	records []*record.Record
	once    map[string]bool // every memory id that ever was
}

// differ notes an error where want and got differ.
func (c *checker) differ(log record.LogID, what string, want, got any) {
	if diff := gocmp.Diff(want, got, protocmp.Transform()); diff != "" {
		c.errs = append(c.errs, fmt.Errorf("tenant %q, agent %q: %s (-from the records, +answered):\n%s", log.Tenant.ID, log.Agent, what, diff))
	}
}

func (c *checker) fail(log record.LogID, what string, err error) {
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("tenant %q, agent %q: %s: %w", log.Tenant.ID, log.Agent, what, err))
	}
}

func (c *checker) log(ctx context.Context, head record.Head) {
	l := &checkedLog{view: newView(head.Log), once: make(map[string]bool)}
	for {
		records, err := c.store.Read(ctx, head.Log, uint64(len(l.records))+1, pageMax)
		c.fail(head.Log, "read log", err)
		for _, r := range records {
			if want := uint64(len(l.records)) + 1; r.Number != want {
				c.fail(head.Log, "read log", fmt.Errorf("record %d where %d is due", r.Number, want))
			}
			l.add(r)
			if live := uint64(len(l.view.living)); r.Live != live {
				c.fail(head.Log, "live count", fmt.Errorf("record %d says %d, the records %d", r.Number, r.Live, live))
			}
		}
		if len(records) < pageMax {
			break
		}
	}
	c.tenants[head.Log.Tenant] = append(c.tenants[head.Log.Tenant], l)
	c.differ(head.Log, "head in the list of logs", l.view.head, head)
	got, err := c.store.Head(ctx, head.Log.Tenant, head.Log.Agent)
	c.fail(head.Log, "head", err)
	c.differ(head.Log, "head", l.view.head, got)
	c.living(ctx, l)
	c.purged(l)
	c.ids(ctx, l)
}

// add applies a record as it was before later ones purged what it said: a store
// that was purged holds stubs, which lack what only a living memory needs.
func (l *checkedLog) add(r *record.Record) {
	l.records = append(l.records, r)
	get := func(n uint64) *record.Record {
		if n < 1 || n > uint64(len(l.records)) {
			return nil
		}
		return l.records[n-1]
	}
	l.view.apply(r, get)
	if id := cmp.Or(r.GetPut().GetMemoryId(), r.GetTombstone().GetMemoryId()); id != "" {
		l.once[id] = true
	}
}

func (c *checker) living(ctx context.Context, l *checkedLog) {
	log := l.view.head.Log
	numbers := slices.Sorted(maps.Keys(l.view.living))
	i := 0
	for r, err := range c.store.Living(ctx, log) {
		if err != nil {
			c.fail(log, "living", err)
			return
		}
		if i >= len(numbers) || r.Number != numbers[i] {
			c.fail(log, "living", fmt.Errorf("yields record %d at place %d of %v", r.Number, i, numbers))
			return
		}
		want := proto.CloneOf(l.records[r.Number-1])
		for _, derived := range l.view.derived[r.Number] {
			record.Merge(want.GetPut(), l.records[derived-1].GetDerived())
		}
		c.differ(log, "living", want, r)
		i++
	}
	if i != len(numbers) {
		c.fail(log, "living", fmt.Errorf("yields %d records of %v", i, numbers))
	}
}

// purged checks that exactly what is gone was emptied.
func (c *checker) purged(l *checkedLog) {
	kept := make(map[uint64]bool)
	for number := range l.view.living {
		for of := number; of > 0; of = l.records[of-1].GetPut().GetPrevious() {
			kept[of] = true
			for _, derived := range l.view.derived[of] {
				kept[derived] = true
			}
		}
	}
	for _, r := range l.records {
		if r.GetPut() == nil && r.GetDerived() == nil {
			continue
		}
		if r.Purged == kept[r.Number] {
			c.fail(l.view.head.Log, "purging", fmt.Errorf("record %d: purged %t, needed %t", r.Number, r.Purged, kept[r.Number]))
		}
		stub := proto.CloneOf(r)
		record.Stub(stub)
		if r.Purged {
			c.differ(l.view.head.Log, "stub", stub, r)
		}
	}
}

func (c *checker) ids(ctx context.Context, l *checkedLog) {
	log := l.view.head.Log
	for id := range l.once {
		var want []record.Location
		if location, ok := l.view.ids[id]; ok {
			want = []record.Location{location}
		}
		got, err := c.store.Locate(ctx, log.Tenant, log.Agent, id, pageMax)
		c.fail(log, "locate "+id, err)
		c.differ(log, "locate "+id, want, got)
	}
}

func (c *checker) tenant(ctx context.Context, tenant lembra.Tenant, logs []*checkedLog) {
	log := record.LogID{Tenant: tenant}
	var oldest, newest time.Time
	users := make(map[string][]string)
	var heads []record.Head
	for _, l := range logs {
		heads = append(heads, l.view.head)
		for user := range l.view.users {
			users[user] = append(users[user], l.view.head.Log.Agent)
		}
		for _, p := range l.view.living {
			at := record.Time(p.CreatedAtUs)
			if oldest.IsZero() || at.Before(oldest) {
				oldest = at
			}
			if at.After(newest) {
				newest = at
			}
		}
	}
	gotOldest, gotNewest, err := c.store.Bounds(ctx, tenant)
	c.fail(log, "bounds", err)
	c.differ(log, "bounds", []time.Time{oldest, newest}, []time.Time{gotOldest, gotNewest})
	agents, err := c.store.Agents(ctx, tenant, "", len(heads)+1)
	c.fail(log, "agents", err)
	c.differ(log, "agents", heads, agents)
	for user, want := range users {
		got, err := c.store.UserAgents(ctx, tenant, user, "", pageMax)
		c.fail(log, "agents of user "+user, err)
		for _, agent := range want {
			if !slices.Contains(got, agent) {
				c.fail(log, "agents of user "+user, fmt.Errorf("%v lacks %q", got, agent))
			}
		}
	}
}

func (c *checker) expiries(ctx context.Context) {
	var want []record.Location
	for _, logs := range c.tenants {
		for _, l := range logs {
			for number, p := range l.view.living {
				if p.ExpiresAtUs != nil {
					want = append(want, record.Location{Log: l.view.head.Log, MemoryID: p.MemoryId, Number: number})
				}
			}
		}
	}
	got, err := c.store.Expired(ctx, farFuture(), len(want)+1)
	c.fail(record.LogID{}, "expired", err)
	order := func(a, b record.Location) int {
		return cmp.Or(compareLogs(a.Log, b.Log), cmp.Compare(a.Number, b.Number))
	}
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	c.differ(record.LogID{}, "expired", want, got)
}
