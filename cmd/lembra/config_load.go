package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const (
	envPrefix = "LEMBRA_"
	envURL    = envPrefix + "URL"
	envKey    = envPrefix + "API_KEY"
	envAdmin  = envPrefix + "ADMIN_KEY"
	envData   = envPrefix + "DATA"
	envConfig = envPrefix + "CONFIG"
)

// clientVariables are the variables that are no settings of a server.
func clientVariables() []string { return []string{envURL, envKey, envConfig} }

// serveFlags declares the flags that stand for settings.
func serveFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "YAML file with settings (LEMBRA_CONFIG)")
	flags.String("addr", DefaultAddr, "address to listen on")
	flags.String("data", DefaultData, "data folder")
	flags.String("tls-cert", "", "PEM file of the certificate for HTTPS, with its chain (default plain HTTP)")
	flags.String("tls-key", "", "PEM file of the certificate's key")
	flags.String("shelf-memory", "", "memory for the agents' indexes, such as 4GiB (default a quarter of the machine's)")
	flags.String("log-level", DefaultLogLevel, "debug, info, warn or error")
	flags.String("log-format", DefaultLogFormat, "text or json")
}

// settingOfFlag names the setting a flag stands for, "" for none.
func settingOfFlag(name string) string {
	switch name {
	case "addr", "data":
		return name
	case "tls-cert":
		return "tls_cert"
	case "tls-key":
		return "tls_key"
	case "shelf-memory":
		return "shelf_memory"
	case "log-level":
		return "log.level"
	case "log-format":
		return "log.format"
	}
	return ""
}

// loadConfig fills the settings from their defaults, the file, the environment
// and the flags, each over the one before, and validates them.
func loadConfig(flags *pflag.FlagSet, environment []string, path string) (Config, error) {
	defaults := defaultConfig()
	k := koanf.New(".")
	if err := k.Load(structs.Provider(defaults, "koanf"), nil); err != nil {
		return Config{}, fmt.Errorf("default settings: %w", err)
	}
	known := k.Keys()
	if path != "" {
		if err := loadFile(k, path, known); err != nil {
			return Config{}, &usageError{err}
		}
	}
	if err := loadEnvironment(k, environment, known); err != nil {
		return Config{}, &usageError{err}
	}
	byFlag := func(f *pflag.Flag) (string, any) {
		setting := settingOfFlag(f.Name)
		if setting == "" || !f.Changed {
			return "", nil
		}
		return setting, f.Value.String()
	}
	if err := k.Load(posflag.ProviderWithFlag(flags, ".", nil, byFlag), nil); err != nil {
		return Config{}, fmt.Errorf("flags: %w", err)
	}
	var c Config
	decoder := &mapstructure.DecoderConfig{ErrorUnused: true, DecodeHook: decodeSetting}
	if err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: decoder, Tag: "koanf"}); err != nil {
		return Config{}, usagef("settings: %w", plainly(err))
	}
	if err := c.validate(); err != nil {
		return Config{}, usagef("settings: %w", err)
	}
	return c, nil
}

// plainly drops mapstructure's headline from its errors.
func plainly(err error) error {
	if list, ok := err.(interface{ WrappedErrors() []error }); ok {
		return errors.Join(list.WrappedErrors()...)
	}
	if list, ok := errors.Unwrap(err).(interface{ Unwrap() []error }); ok {
		return errors.Join(list.Unwrap()...)
	}
	return err
}

func loadFile(k *koanf.Koanf, path string, known []string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("settings file: %w", err)
	}
	if documents := regexp.MustCompile(`(?m)^---(\s|$)`).Split(string(text), -1); len(documents) > 2 || len(documents) == 2 && blankYAML(documents[0]) != "" {
		return fmt.Errorf("settings file %s: has several YAML documents: put all settings into one", path)
	}
	parsed := koanf.New(".")
	if err := parsed.Load(file.Provider(path), yaml.Parser()); err != nil {
		return fmt.Errorf("settings file %s: %w", path, err)
	}
	for _, key := range parsed.Keys() {
		if !slices.Contains(known, key) {
			return fmt.Errorf("settings file %s: unknown setting %q: did you mean %q?", path, key, nearest(key, known))
		}
		if parsed.Get(key) == nil {
			return fmt.Errorf("settings file %s: %s has no value", path, key)
		}
	}
	for key, value := range parsed.All() { // nested, or with dots in the names
		if err := k.Set(key, value); err != nil {
			return fmt.Errorf("settings file %s: %w", path, err)
		}
	}
	return nil
}

// blankYAML is a text without comments and space.
func blankYAML(text string) string {
	return strings.TrimSpace(regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(text, ""))
}

// variable names the environment variable of a setting.
func variable(setting string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(setting, ".", "_"))
}

func loadEnvironment(k *koanf.Koanf, environment, known []string) error {
	settings := map[string]string{}
	names := clientVariables()
	for _, setting := range known {
		settings[variable(setting)] = setting
		names = append(names, variable(setting))
	}
	for _, e := range environment {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(names, name) {
			return fmt.Errorf("unknown environment variable %s: did you mean %s?", name, nearest(name, names))
		}
	}
	provider := env.Provider(".", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environment },
		TransformFunc: func(name, value string) (string, any) {
			if value == "" {
				return "", nil // as good as not set
			}
			return settings[name], value
		},
	})
	if err := k.Load(provider, nil); err != nil {
		return fmt.Errorf("environment: %w", err)
	}
	return nil
}

// decodeSetting turns what a file, a variable or a flag has into a setting's
// type, and refuses what would lose something.
func decodeSetting(from, to reflect.Type, value any) (any, error) {
	if from == to {
		return value, nil
	}
	switch to {
	case reflect.TypeFor[RuleList]():
		if list, ok := value.([]any); ok {
			return RuleList(strings.Trim(fmt.Sprint(list), "[]")), nil
		}
	case reflect.TypeFor[Size]():
		return parseSize(fmt.Sprint(value))
	case reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(fmt.Sprint(value))
		if err != nil {
			return nil, fmt.Errorf("%v is no duration: use one with a unit, like 30s or 2m", value)
		}
		return d, nil
	}
	switch to.Kind() {
	case reflect.Int:
		f, isFloat := value.(float64)
		if s, ok := value.(string); ok {
			n, err := strconv.Atoi(s)
			if err != nil {
				return nil, fmt.Errorf("%q is no whole number", s)
			}
			return n, nil
		} else if isFloat && f != math.Trunc(f) {
			return nil, fmt.Errorf("%v is no whole number", f)
		}
	case reflect.Float64:
		if s, ok := value.(string); ok {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return nil, fmt.Errorf("%q is no number", s)
			}
			return f, nil
		}
	}
	return value, nil
}

// nearest returns the name that takes the fewest changes to become like the one
// given.
func nearest(name string, names []string) string {
	return slices.MinFunc(names, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance is Levenshtein's: how many letters must be added, dropped or replaced.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
