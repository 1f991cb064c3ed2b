package main

import (
	"fmt"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
)

func (c *cli) configCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Print the settings \"lembra serve\" would use",
		Long: `Print, as YAML, the settings that "lembra serve" would use with the same flags,
file and environment. The output can be used as a settings file; the admin key is
masked.

Every setting can stand in the file, or in the environment under its name in
capitals: timeouts.request is LEMBRA_TIMEOUTS_REQUEST.`,
		Example: "  lembra config\n  lembra config --config lembra.yaml",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.config(command)
			if err != nil {
				return err
			}
			return c.printConfig(config)
		},
	}
	serveFlags(command.Flags())
	return command
}

// config loads the settings of a command with serve's flags.
func (c *cli) config(command *cobra.Command) (Config, error) {
	path, err := command.Flags().GetString("config")
	if err != nil {
		return Config{}, fmt.Errorf("read flag: %w", err)
	}
	if path == "" {
		path = c.getenv(envConfig)
	}
	return loadConfig(command.Flags(), c.env, path)
}

// printConfig writes settings as a file of them would be.
func (c *cli) printConfig(config Config) error {
	if config.AdminKey != "" {
		config.AdminKey = "*****"
	}
	k := koanf.New(".")
	if err := k.Load(structs.Provider(config, "koanf"), nil); err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	for key, value := range k.All() {
		switch v := value.(type) {
		case Size, time.Duration, RuleList:
			if err := k.Set(key, fmt.Sprint(v)); err != nil {
				return fmt.Errorf("print settings: %w", err)
			}
		}
	}
	b, err := k.Marshal(yaml.Parser())
	if err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	if _, err := c.stdout.Write(b); err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	return nil
}
