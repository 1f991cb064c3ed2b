package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// keyFileName is the file in the data folder that holds the key of the default
// tenant.
const keyFileName = "default.key"

// writeKeyFile writes a key, for its owner's eyes only. When it returns nil, the
// file is on disk, whole; before, any older one is.
func writeKeyFile(path, key string) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, keyFileName+".*.tmp") // mode 0600
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.WriteString(key + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// readKeyFile reads a key.
func readKeyFile(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read key file: %w", err)
	}
	key := strings.TrimSpace(string(b))
	if key == "" {
		return "", fmt.Errorf("key file %s is empty", path)
	}
	return key, nil
}
