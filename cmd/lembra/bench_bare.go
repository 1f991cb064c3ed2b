package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"lembra/internal/bench/bare"
)

// newBenchBareCommand returns the hidden command that serves what durable
// memorizing is measured against; see scripts/bench-write.sh.
func newBenchBareCommand() *cobra.Command {
	var (
		addr, data string
		valueBytes int
	)
	command := &cobra.Command{
		Use:    "bench-bare",
		Short:  "Serve the fastest honest store of POST bodies, as a yardstick",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return serveBare(command.Context(), command.OutOrStdout(), addr, data, valueBytes)
		},
	}
	flags := command.Flags()
	flags.StringVar(&addr, "addr", "127.0.0.1:8081", "address to serve on")
	flags.StringVar(&data, "data", "./lembra-bare", "folder to write to")
	flags.IntVar(&valueBytes, "bytes", 300, "bytes to commit for each request")
	return command
}

func serveBare(ctx context.Context, out io.Writer, addr, data string, valueBytes int) (err error) {
	server, err := bare.Open(data, valueBytes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	if _, err := fmt.Fprintf(out, "serving on http://%s\n", listener.Addr()); err != nil {
		return errors.Join(err, listener.Close())
	}
	return server.Serve(ctx, listener)
}
