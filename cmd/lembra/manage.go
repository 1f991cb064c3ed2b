package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"lembra"
	"lembra/internal/access"
	"lembra/internal/pebblestore"
)

// A manager manages tenants and keys: a server, through a client, or a data
// folder that no server has open.
type manager interface {
	CreateTenant(ctx context.Context, tenantID string) (lembra.TenantInfo, error)
	Tenants(ctx context.Context) ([]lembra.TenantInfo, error)
	DeleteTenant(ctx context.Context, tenantID string) error
	CreateKey(ctx context.Context, k lembra.CreateKeyRequest) (lembra.CreatedKey, error)
	Keys(ctx context.Context, tenantID string) ([]lembra.KeyInfo, error)
	RevokeKey(ctx context.Context, keyID string) error
}

// management are the flags that choose a manager.
type management struct {
	connection

	data string
}

func (o *management) flags(command *cobra.Command) {
	o.connection.flags(command, adminKeyHelp)
	command.Flags().StringVar(&o.data, "data", "", "work on this data folder, which no server may have open, instead")
	command.MarkFlagsMutuallyExclusive("data", "url")
	command.MarkFlagsMutuallyExclusive("data", "key")
}

// manage calls work with the manager that the flags choose.
func (c *cli) manage(ctx context.Context, o *management, work func(context.Context, manager) error) (err error) {
	if o.data == "" {
		cl, err := c.connectAdmin(&o.connection)
		if err != nil {
			return err
		}
		defer cl.Close()
		return work(ctx, cl)
	}
	f, err := openFolder(o.data) //nolint:contextcheck // a store outlives the context of its opening
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return work(ctx, f)
}

// A folder is a data folder that no server has open.
type folder struct {
	*access.Access

	store *pebblestore.Store
	admin lembra.Principal
}

func openFolder(dir string) (*folder, error) {
	// Opening would make a new store.
	if found, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*")); err != nil || len(found) == 0 {
		return nil, fmt.Errorf("%s is no data folder of lembra: \"lembra serve --data %s\" makes it one", dir, dir)
	}
	store, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		return nil, err
	}
	a, err := access.New(store, store, access.Options{})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open access: %w", err), store.Close())
	}
	return &folder{Access: a, store: store, admin: lembra.Principal{Server: true}}, nil
}

// Close closes the folder.
func (f *folder) Close() error { return errors.Join(f.Access.Close(), f.store.Close()) }

// DeleteTenant deletes a tenant; the next server on the folder removes its data.
func (f *folder) DeleteTenant(ctx context.Context, tenantID string) error {
	_, err := f.Access.DeleteTenant(ctx, tenantID)
	return err
}

// CreateKey makes a key.
func (f *folder) CreateKey(ctx context.Context, k lembra.CreateKeyRequest) (lembra.CreatedKey, error) {
	return f.Access.CreateKey(ctx, f.admin, k)
}

// Keys lists a tenant's keys, or all.
func (f *folder) Keys(ctx context.Context, tenantID string) ([]lembra.KeyInfo, error) {
	return f.Access.Keys(ctx, f.admin, tenantID)
}

// RevokeKey ends a key.
func (f *folder) RevokeKey(ctx context.Context, keyID string) error {
	return f.Access.RevokeKey(ctx, f.admin, keyID)
}
