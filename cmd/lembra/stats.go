package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"lembra/internal/access"
)

func (c *cli) statsCommand() *cobra.Command {
	var (
		o      connection
		tenant string
		asJSON bool
	)
	command := &cobra.Command{
		Use:     "stats",
		Short:   "Count a tenant's memories",
		Example: "  lembra stats\n  lembra stats --tenant acme --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			cl, err := c.connect(&o)
			if err != nil {
				return err
			}
			defer cl.Close()
			stats, err := cl.Stats(command.Context(), tenant)
			if err != nil {
				return fmt.Errorf("count memories: %w", err)
			}
			if asJSON {
				return c.printJSON(stats)
			}
			err = c.printf("%d memories of %d agents in tenant %s, memorized from %s to %s\n",
				stats.TotalMemories, stats.AgentCount, stats.TenantID, shortTime(stats.OldestMemory), shortTime(stats.NewestMemory))
			if err != nil || len(stats.Agents) == 0 {
				return err
			}
			rows := [][]string{{"MEMORIES", "AGENT"}}
			for _, agent := range slices.SortedFunc(maps.Keys(stats.Agents), func(a, b string) int {
				return cmp.Or(cmp.Compare(stats.Agents[b], stats.Agents[a]), cmp.Compare(a, b))
			}) {
				rows = append(rows, []string{strconv.FormatUint(stats.Agents[agent], 10), agent})
			}
			return c.printTable(rows)
		},
	}
	o.flags(command, tenantKeyHelp)
	command.Flags().StringVar(&tenant, "tenant", access.DefaultTenant, "the key's tenant")
	command.Flags().BoolVar(&asJSON, "json", false, "print the server's answer")
	return command
}
