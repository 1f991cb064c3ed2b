package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lembra"
)

func (c *cli) keyCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "key",
		Short: "Create, list and revoke API keys",
		Long: `Create, list and revoke a tenant's API keys, through a running server (--url, and
as --key its admin key or a key of scope admin), or on a data folder that no
server has open (--data).`,
		Example: `  lembra key create --tenant acme --scope read --name reports --expires 90d --key $LEMBRA_ADMIN_KEY
  lembra key list --tenant acme --data ./lembra-data`,
	}, c.keyCreateCommand(), c.keyListCommand(), c.keyRevokeCommand())
}

func (c *cli) keyCreateCommand() *cobra.Command {
	var (
		o             management
		request       lembra.CreateKeyRequest
		scope, expiry string
	)
	command := &cobra.Command{
		Use:   "create --tenant TENANT",
		Short: "Create an API key and print it",
		Long: `Create an API key and print it, alone, on standard output. It is shown this once:
the server keeps nothing but a hash.`,
		Example: `  lembra key create --tenant acme --key $LEMBRA_ADMIN_KEY >acme.key
  lembra key create --tenant acme --scope read --expires 90d --data ./lembra-data`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			for s := range strings.SplitSeq(scope, ",") {
				request.Scopes = append(request.Scopes, lembra.Scope(strings.TrimSpace(s)))
			}
			var err error
			if request.ExpiresAt, err = parseExpiry(expiry, time.Now()); err != nil {
				return err
			}
			return c.manage(command.Context(), &o, func(ctx context.Context, m manager) error {
				key, err := m.CreateKey(ctx, request)
				if lembra.CodeOf(err) == lembra.CodeNotFound {
					return fmt.Errorf("%w: \"lembra tenant create %s\" makes it", err, request.TenantID)
				}
				if err != nil {
					return err
				}
				c.note("key %s of tenant %s (%s) is shown this once:", key.KeyID, key.TenantID, joinScopes(key.Scopes))
				return c.printf("%s\n", key.Key)
			})
		},
	}
	o.flags(command)
	flags := command.Flags()
	flags.StringVar(&request.TenantID, "tenant", "", "the key's tenant")
	flags.StringVar(&scope, "scope", "read,write", "what the key allows: read, write, admin")
	flags.StringVar(&request.Name, "name", "", "a name to know it by")
	flags.StringVar(&expiry, "expires", "", "when it ends: 90d, 12h, or a time like 2027-01-31T09:00:00Z (default never)")
	mustRequire(command, "tenant")
	return command
}

// mustRequire makes a flag required; it panics where there is no such flag.
func mustRequire(command *cobra.Command, flag string) {
	if err := command.MarkFlagRequired(flag); err != nil {
		panic(err)
	}
}

// parseExpiry reads a time, or a span from now on.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	span, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int64
		n, err = strconv.ParseInt(days, 10, 16) // so that it cannot overflow
		span = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || span <= 0 {
		return time.Time{}, usagef("--expires: %q is no time to come: use one like 90d, 12h or 2027-01-31T09:00:00Z", s)
	}
	return now.Add(span).UTC().Truncate(time.Second), nil
}

func joinScopes(scopes []lembra.Scope) string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return strings.Join(names, ",")
}

func (c *cli) keyListCommand() *cobra.Command {
	var (
		o      management
		tenant string
		asJSON bool
	)
	command := &cobra.Command{
		Use:     "list",
		Short:   "List API keys, masked",
		Example: "  lembra key list --tenant acme --key $LEMBRA_ADMIN_KEY",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return c.manage(command.Context(), &o, func(ctx context.Context, m manager) error {
				keys, err := m.Keys(ctx, tenant)
				if err != nil {
					return err
				}
				if asJSON {
					return c.printJSON(keys)
				}
				return c.printTable(keyRows(keys, time.Now()))
			})
		},
	}
	o.flags(command)
	command.Flags().StringVar(&tenant, "tenant", "", "the tenant (default all that the key manages)")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func keyRows(keys []lembra.KeyInfo, now time.Time) [][]string {
	rows := [][]string{{"ID", "TENANT", "KEY", "SCOPES", "NAME", "CREATED", "LAST USED", "STATE"}}
	for _, k := range keys {
		state := "valid"
		switch {
		case !k.RevokedAt.IsZero():
			state = "revoked " + shortTime(k.RevokedAt)
		case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
			state = "expired " + shortTime(k.ExpiresAt)
		case !k.ExpiresAt.IsZero():
			state = "until " + shortTime(k.ExpiresAt)
		}
		rows = append(rows, []string{
			k.KeyID, k.TenantID, k.Masked, joinScopes(k.Scopes), k.Name, shortTime(k.CreatedAt), shortTime(k.LastUsed), state,
		})
	}
	return rows
}

func (c *cli) keyRevokeCommand() *cobra.Command {
	var (
		o      management
		tenant string
	)
	command := &cobra.Command{
		Use:     "revoke KEY-ID",
		Short:   "Revoke an API key, for good",
		Long:    "Revoke an API key, for good. Its id is that of \"lembra key list\", and no secret.",
		Example: "  lembra key revoke 0199d3c0-5a53-7f3f-bb2c-0d9f3a8e1c55 --key $LEMBRA_ADMIN_KEY",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return c.manage(command.Context(), &o, func(ctx context.Context, m manager) error {
				if err := checkKeyTenant(ctx, m, tenant, args[0]); err != nil {
					return err
				}
				if err := m.RevokeKey(ctx, args[0]); err != nil {
					return err
				}
				c.note("key %s is revoked", args[0])
				return nil
			})
		},
	}
	o.flags(command)
	command.Flags().StringVar(&tenant, "tenant", "", "only a key of this tenant")
	return command
}

// checkKeyTenant refuses a key of another tenant than the one named, if any.
func checkKeyTenant(ctx context.Context, m manager, tenant, keyID string) error {
	if tenant == "" {
		return nil
	}
	keys, err := m.Keys(ctx, tenant)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.KeyID == keyID {
			return nil
		}
	}
	return &lembra.Error{Code: lembra.CodeNotFound, Message: fmt.Sprintf("tenant %s has no key %s", tenant, keyID)}
}
