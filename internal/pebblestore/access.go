package pebblestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"lembra"
	"lembra/internal/record"
)

// A tenantMark is the stored state of a tenant's name.
type tenantMark struct {
	Generation uint64    `json:"generation"`
	CreatedAt  time.Time `json:"created_at"`
	DeletedAt  time.Time `json:"deleted_at,omitzero"`
}

// A storedKey is an API key as it is stored.
type storedKey struct {
	lembra.KeyInfo
	Hash       []byte `json:"hash"`
	Generation uint64 `json:"generation"`
}

func (k storedKey) key() lembra.Key {
	key := lembra.Key{KeyInfo: k.KeyInfo, Generation: k.Generation}
	copy(key.Hash[:], k.Hash)
	return key
}

func (s *Store) tenantMark(id string) (tenantMark, bool, error) {
	value, err := s.get(textKey(kindTenant, id))
	if err != nil || value == nil {
		return tenantMark{}, false, err
	}
	var mark tenantMark
	if err := json.Unmarshal(value, &mark); err != nil {
		return tenantMark{}, false, fmt.Errorf("tenant %q: %w", id, err)
	}
	return mark, true, nil
}

// isDead tells whether a generation of a tenant is deleted.
func (s *Store) isDead(t lembra.Tenant) (bool, error) {
	mark, known, err := s.tenantMark(t.ID)
	return known && (t.Generation < mark.Generation || t.Generation == mark.Generation && !mark.DeletedAt.IsZero()), err
}

func setJSON(b *pebble.Batch, key []byte, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return b.Set(key, encoded, nil)
}

func noTenant(id string) error {
	return &lembra.Error{Code: lembra.CodeNotFound, Message: fmt.Sprintf("there is no tenant %q", id)}
}

// CreateTenant implements access.Tenants.
func (s *Store) CreateTenant(_ context.Context, id string, at time.Time) (lembra.Tenant, error) {
	if err := checkIDs(id); err != nil {
		return lembra.Tenant{}, err
	}
	s.tenants.Lock()
	defer s.tenants.Unlock()
	mark, known, err := s.tenantMark(id)
	if err != nil {
		return lembra.Tenant{}, fmt.Errorf("create tenant: %w", err)
	}
	if known && mark.DeletedAt.IsZero() {
		return lembra.Tenant{}, &lembra.Error{Code: lembra.CodeConflict, Message: fmt.Sprintf("tenant %q exists", id)}
	}
	mark = tenantMark{Generation: mark.Generation + 1, CreatedAt: at.UTC()}
	err = s.write(adds, func(b *pebble.Batch) error { return setJSON(b, textKey(kindTenant, id), mark) })
	if err != nil {
		return lembra.Tenant{}, fmt.Errorf("create tenant: %w", err)
	}
	return lembra.Tenant{ID: id, Generation: mark.Generation}, nil
}

// Tenant implements access.Tenants.
func (s *Store) Tenant(_ context.Context, id string) (lembra.Tenant, error) {
	if err := checkIDs(id); err != nil {
		return lembra.Tenant{}, err
	}
	mark, known, err := s.tenantMark(id)
	if err != nil {
		return lembra.Tenant{}, fmt.Errorf("read tenant: %w", err)
	}
	if !known || !mark.DeletedAt.IsZero() {
		return lembra.Tenant{}, noTenant(id)
	}
	return lembra.Tenant{ID: id, Generation: mark.Generation}, nil
}

// TenantsEver implements access.Tenants.
func (s *Store) TenantsEver(ctx context.Context) (ever bool, err error) {
	err = scan(ctx, s.db, newKey(kindTenant), nil, func([]byte, []byte) (bool, error) {
		ever = true
		return false, nil
	})
	if err != nil {
		return false, fmt.Errorf("look for tenants: %w", err)
	}
	return ever, nil
}

// Tenants implements access.Tenants.
func (s *Store) Tenants(ctx context.Context, after string, limit int) ([]lembra.TenantInfo, error) {
	if err := checkIDs(after); err != nil || limit <= 0 {
		return nil, err
	}
	prefix := newKey(kindTenant)
	from := prefix
	if after != "" {
		from = behind(textKey(kindTenant, after))
	}
	var tenants []lembra.TenantInfo
	err := scan(ctx, s.db, prefix, from, func(key, value []byte) (bool, error) {
		d := decode(key)
		id := d.text()
		var mark tenantMark
		if err := json.Unmarshal(value, &mark); err != nil {
			return false, fmt.Errorf("tenant %q: %w", id, err)
		}
		if mark.DeletedAt.IsZero() {
			tenants = append(tenants, lembra.TenantInfo{TenantID: id, CreatedAt: mark.CreatedAt})
		}
		return len(tenants) < limit, d.end()
	})
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	return tenants, nil
}

// DeleteTenant implements access.Tenants.
func (s *Store) DeleteTenant(_ context.Context, id string, at time.Time) (lembra.Tenant, error) {
	if err := checkIDs(id); err != nil {
		return lembra.Tenant{}, err
	}
	s.tenants.Lock()
	defer s.tenants.Unlock()
	mark, known, err := s.tenantMark(id)
	if err != nil {
		return lembra.Tenant{}, fmt.Errorf("delete tenant: %w", err)
	}
	if !known || !mark.DeletedAt.IsZero() {
		return lembra.Tenant{}, noTenant(id)
	}
	mark.DeletedAt = at.UTC()
	tenant := lembra.Tenant{ID: id, Generation: mark.Generation}
	err = s.write(deletes, func(b *pebble.Batch) error {
		if err := setJSON(b, textKey(kindTenant, id), mark); err != nil {
			return err
		}
		deleted := binary.BigEndian.AppendUint64(nil, uint64(record.Micros(at)))
		return b.Set(logKey(kindDoomed, record.LogID{Tenant: tenant}), deleted, nil)
	})
	if err != nil {
		return lembra.Tenant{}, fmt.Errorf("delete tenant: %w", err)
	}
	return tenant, nil
}

// PutKey implements access.Keys.
func (s *Store) PutKey(_ context.Context, key lembra.Key) error {
	if err := checkIDs(key.TenantID, key.KeyID); err != nil {
		return err
	}
	n := adds
	if !key.RevokedAt.IsZero() {
		n = deletes // a key can be revoked while the disk is full
	}
	err := s.write(n, func(b *pebble.Batch) error {
		stored := storedKey{KeyInfo: key.KeyInfo, Hash: key.Hash[:], Generation: key.Generation}
		if err := setJSON(b, textKey(kindKey, key.TenantID, key.KeyID), stored); err != nil {
			return err
		}
		name := appendText(appendText(nil, key.TenantID), key.KeyID)
		if err := b.Set(hashKey(key.Hash), name, nil); err != nil {
			return err
		}
		return b.Set(textKey(kindKeyID, key.KeyID), []byte(key.TenantID), nil)
	})
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}

func hashKey(hash [32]byte) []byte { return append(newKey(kindKeyHash), hash[:]...) }

func noKey() error { return &lembra.Error{Code: lembra.CodeNotFound, Message: "there is no such key"} }

// KeyByHash implements access.Keys.
func (s *Store) KeyByHash(ctx context.Context, hash [32]byte) (lembra.Key, error) {
	name, err := s.get(hashKey(hash))
	if err != nil {
		return lembra.Key{}, fmt.Errorf("read key: %w", err)
	}
	if name == nil {
		return lembra.Key{}, noKey()
	}
	d := &decoder{b: name}
	tenantID, keyID := d.text(), d.text()
	if err := d.end(); err != nil {
		return lembra.Key{}, fmt.Errorf("read key: %w", errValue)
	}
	return s.KeyByID(ctx, tenantID, keyID)
}

// KeyByID implements access.Keys.
func (s *Store) KeyByID(_ context.Context, tenantID, keyID string) (lembra.Key, error) {
	if err := checkIDs(tenantID, keyID); err != nil {
		return lembra.Key{}, err
	}
	if tenantID == "" {
		value, err := s.get(textKey(kindKeyID, keyID))
		if err != nil {
			return lembra.Key{}, fmt.Errorf("read key: %w", err)
		}
		tenantID = string(value)
	}
	value, err := s.get(textKey(kindKey, tenantID, keyID))
	if err != nil {
		return lembra.Key{}, fmt.Errorf("read key: %w", err)
	}
	if value == nil {
		return lembra.Key{}, noKey()
	}
	var stored storedKey
	if err := json.Unmarshal(value, &stored); err != nil {
		return lembra.Key{}, fmt.Errorf("key %q: %w", keyID, err)
	}
	return stored.key(), nil
}

// TenantKeys implements access.Keys.
func (s *Store) TenantKeys(ctx context.Context, tenantID string) ([]lembra.Key, error) {
	if err := checkIDs(tenantID); err != nil {
		return nil, err
	}
	prefix := newKey(kindKey)
	if tenantID != "" {
		prefix = textKey(kindKey, tenantID)
	}
	var keys []lembra.Key
	err := scan(ctx, s.db, prefix, nil, func(_, value []byte) (bool, error) {
		var stored storedKey
		if err := json.Unmarshal(value, &stored); err != nil {
			return false, err
		}
		keys = append(keys, stored.key())
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	if tenantID == "" {
		slices.SortFunc(keys, func(a, b lembra.Key) int { return cmp.Compare(a.KeyID, b.KeyID) })
	}
	return keys, nil
}

// keysUpTo returns the database keys of the API keys of a tenant's generation
// and those before it.
func (s *Store) keysUpTo(ctx context.Context, t lembra.Tenant) ([][]byte, error) {
	apiKeys, err := s.TenantKeys(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	for _, k := range apiKeys {
		if k.Generation <= t.Generation {
			keys = append(keys, textKey(kindKey, k.TenantID, k.KeyID), hashKey(k.Hash), textKey(kindKeyID, k.KeyID))
		}
	}
	return keys, nil
}
