package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) healthCommand() *cobra.Command {
	var (
		o      connection
		asJSON bool
	)
	command := &cobra.Command{
		Use:     "health",
		Short:   "Ask a server how it is",
		Long:    "Ask a server how it is; it needs no key. The exit code is 1 where the server does not take writes.",
		Example: "  lembra health\n  lembra health --url http://127.0.0.1:9000 --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			cl, err := c.newClient(&o, "")
			if err != nil {
				return err
			}
			defer cl.Close()
			h, err := cl.Health(command.Context())
			if err != nil {
				return fmt.Errorf("ask for health: %w", err)
			}
			if asJSON {
				err = c.printJSON(h)
			} else {
				err = c.printf("%s: lembra %s, store %s of %s with %s free, model %s, %d of %d connections, %d of %d descriptors\n",
					h.Status, h.Version, h.Store.Kind, bytesText(h.Store.DiskBytes), bytesText(h.Store.FreeBytes), h.Embedder.Model,
					h.Connections.Open, h.Connections.Limit, h.Descriptors.Open, h.Descriptors.Limit)
			}
			if err != nil {
				return err
			}
			if err := cl.Ready(command.Context()); err != nil {
				return fmt.Errorf("the server takes no writes: %w", err)
			}
			return nil
		},
	}
	command.Flags().StringVar(&o.url, "url", "", "the server's URL (LEMBRA_URL; default http://"+DefaultAddr+")")
	command.Flags().BoolVar(&asJSON, "json", false, "print the server's answer")
	return command
}
