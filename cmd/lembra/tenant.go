package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func (c *cli) tenantCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "tenant",
		Short: "Create, list and delete tenants",
		Long: `Create, list and delete tenants, through a running server (--url, and its admin
key as --key), or on a data folder that no server has open (--data).`,
		Example: `  lembra tenant create acme --key $LEMBRA_ADMIN_KEY
  lembra tenant list --data ./lembra-data`,
	}, c.tenantCreateCommand(), c.tenantListCommand(), c.tenantDeleteCommand())
}

func (c *cli) tenantCreateCommand() *cobra.Command {
	var o management
	command := &cobra.Command{
		Use:     "create TENANT",
		Short:   "Create a tenant",
		Example: "  lembra tenant create acme --key $LEMBRA_ADMIN_KEY",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return c.manage(command.Context(), &o, func(ctx context.Context, m manager) error {
				if _, err := m.CreateTenant(ctx, args[0]); err != nil {
					return err
				}
				c.note("tenant %s is made; \"lembra key create --tenant %s\" makes a key for it", args[0], args[0])
				return nil
			})
		},
	}
	o.flags(command)
	return command
}

func (c *cli) tenantListCommand() *cobra.Command {
	var (
		o      management
		asJSON bool
	)
	command := &cobra.Command{
		Use:     "list",
		Short:   "List tenants",
		Example: "  lembra tenant list --data ./lembra-data",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return c.manage(command.Context(), &o, func(ctx context.Context, m manager) error {
				tenants, err := m.Tenants(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return c.printJSON(tenants)
				}
				rows := [][]string{{"TENANT", "CREATED"}}
				for _, t := range tenants {
					rows = append(rows, []string{t.TenantID, t.CreatedAt.UTC().Format(time.RFC3339)})
				}
				return c.printTable(rows)
			})
		},
	}
	o.flags(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func (c *cli) tenantDeleteCommand() *cobra.Command {
	var (
		o   management
		yes bool
	)
	command := &cobra.Command{
		Use:     "delete TENANT",
		Short:   "Delete a tenant with its keys and all its memories",
		Example: "  lembra tenant delete acme --yes --key $LEMBRA_ADMIN_KEY",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if !yes {
				return usagef("this deletes tenant %s with its keys and all its memories, for good: repeat it with --yes", args[0])
			}
			return c.manage(command.Context(), &o, func(ctx context.Context, m manager) error {
				if err := m.DeleteTenant(ctx, args[0]); err != nil {
					return err
				}
				c.note("tenant %s is deleted", args[0])
				return nil
			})
		},
	}
	o.flags(command)
	command.Flags().BoolVar(&yes, "yes", false, "delete without asking")
	return command
}
