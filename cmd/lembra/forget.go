package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"lembra"
)

func (c *cli) forgetCommand() *cobra.Command {
	var (
		o           connection
		s           scope
		dryRun, yes bool
	)
	command := &cobra.Command{
		Use:   "forget",
		Short: "Forget memories by agent, user, session, time or filter",
		Long: `Forget the memories that match all of the flags. --dry-run counts them; without
it, --yes is needed.`,
		Example: `  lembra forget --agent ada --session s1 --dry-run
  lembra forget --user u42 --yes`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			request := lembra.ForgetRequest{AgentID: s.agent, UserID: s.user, SessionID: s.session, DryRun: dryRun}
			var err error
			if request.Filter, request.Since, request.Until, err = s.parse(); err != nil {
				return err
			}
			if err := request.Validate(lembra.DefaultLimits()); err != nil {
				return &usageError{err}
			}
			if !dryRun && !yes {
				return usagef("this forgets memories for good: count them with --dry-run, or repeat it with --yes")
			}
			cl, err := c.connect(&o)
			if err != nil {
				return err
			}
			defer cl.Close()
			// One request forgets a bounded number.
			for deleted := 0; ; {
				answer, err := cl.Forget(command.Context(), request)
				if err != nil {
					return fmt.Errorf("forget: %w (%d forgotten before)", err, deleted)
				}
				deleted += answer.Deleted
				if dryRun {
					return c.printf("%d memories match\n", answer.Remaining)
				}
				if answer.Remaining == 0 || answer.Deleted == 0 {
					return c.printf("%d memories forgotten, %d remain\n", deleted, answer.Remaining)
				}
			}
		},
	}
	o.flags(command, tenantKeyHelp)
	s.flags(command)
	command.Flags().BoolVar(&dryRun, "dry-run", false, "count, and forget nothing")
	command.Flags().BoolVar(&yes, "yes", false, "forget without asking")
	command.MarkFlagsMutuallyExclusive("dry-run", "yes")
	return command
}
