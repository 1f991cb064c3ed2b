package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"lembra/client"
)

// connection are the flags of commands that talk to a server.
type connection struct {
	url, key string
}

func (o *connection) flags(command *cobra.Command, keyHelp string) {
	command.Flags().StringVar(&o.url, "url", "", "the server's URL (LEMBRA_URL; default http://"+DefaultAddr+")")
	command.Flags().StringVar(&o.key, "key", "", keyHelp)
}

const (
	tenantKeyHelp = "API key (LEMBRA_API_KEY; default that in " + DefaultData + "/" + keyFileName + ")"
	adminKeyHelp  = "the server's admin key, or one of scope admin (LEMBRA_ADMIN_KEY or LEMBRA_API_KEY)"
)

func (c *cli) serverURL(o *connection) string {
	if o.url != "" {
		return o.url
	}
	if u := c.getenv(envURL); u != "" {
		return u
	}
	return "http://" + DefaultAddr
}

// connect returns a client with the key of a tenant.
func (c *cli) connect(o *connection) (*client.Client, error) {
	key, err := c.tenantKey(o)
	if err != nil {
		return nil, err
	}
	return c.newClient(o, key)
}

// tenantKey returns the key of a tenant.
func (c *cli) tenantKey(o *connection) (string, error) {
	key := o.key
	if key == "" {
		key = c.getenv(envKey)
	}
	if key == "" {
		folder := c.getenv(envData)
		if folder == "" {
			folder = DefaultData
		}
		path := filepath.Join(folder, keyFileName)
		var err error
		if key, err = readKeyFile(path); errors.Is(err, fs.ErrNotExist) {
			return "", usagef("no API key: give --key or LEMBRA_API_KEY, as there is no %s", path)
		} else if err != nil {
			return "", err
		}
	}
	return key, nil
}

// connectAdmin returns a client with a key that manages.
func (c *cli) connectAdmin(o *connection) (*client.Client, error) {
	key := o.key
	for _, name := range []string{envAdmin, envKey} {
		if key == "" {
			key = c.getenv(name)
		}
	}
	if key == "" {
		return nil, usagef("no admin key: give --key or LEMBRA_ADMIN_KEY, or --data with the data folder of a server that does not run")
	}
	return c.newClient(o, key)
}

func (c *cli) newClient(o *connection, key string) (*client.Client, error) {
	cl, err := client.New(c.serverURL(o), key)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--url: %w", err)}
	}
	return cl, nil
}
