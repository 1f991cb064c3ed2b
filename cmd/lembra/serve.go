package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/spf13/cobra"

	"lembra/internal/observe"
)

func (c *cli) serveCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve the memories in a data folder",
		Long: `Serve the memories in a data folder, which is made where it does not exist. A new
folder gets the tenant "default" with a key that reads and writes, in the file
default.key of the folder.

Settings come from their defaults, the file of --config, LEMBRA_… variables and
flags, each over the one before; "lembra config" prints them all. LEMBRA_ADMIN_KEY
sets the server's admin key, which manages tenants and keys.

SIGTERM or SIGINT has the server finish the requests in flight and end; a second
one ends it at once, and what was acknowledged is safe even then. The exit code
is 3 where the store failed for good.`,
		Example: `  lembra serve
  lembra serve --addr 127.0.0.1:9000 --data /var/lib/lembra
  LEMBRA_ADMIN_KEY=$(openssl rand -hex 32) lembra serve --config lembra.yaml`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.config(command)
			if err != nil {
				return err
			}
			return c.serve(command.Context(), config)
		},
	}
	serveFlags(command.Flags())
	return command
}

func (c *cli) serve(ctx context.Context, config Config) (err error) {
	logger, err := observe.NewLogger(c.stderr, config.Log.Level, config.Log.Format)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	p, err := OpenProgram(ctx, config, logger, Parts{Fatal: c.endFatally})
	if err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if file := p.NewKeyFile(); file != "" {
		c.note("lembra: this data folder is new: the API key of its tenant \"default\" is in %s", file)
	}
	c.note("lembra: listening on %s (%s)", p.URL(), p.Budget())
	c.addThreads()
	defer runtime.KeepAlive(c.spare())
	var warming sync.WaitGroup
	warming.Go(p.Warm)
	defer warming.Wait()
	return p.Run(ctx)
}

// endFatally ends the process where the store cannot go on.
func (c *cli) endFatally(err error) {
	c.note("lembra: the store failed, and the server ends; what was acknowledged is safe: %v", err)
	os.Exit(exitStore)
}
