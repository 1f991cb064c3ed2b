package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// certificateEvery is how long a certificate is used before its files are read again.
const certificateEvery = time.Minute

// A certificate is what tls_cert and tls_key hold, as the clients who connect see it: it is
// read again now and then, so that a renewed one needs no restart. It is safe for concurrent
// use.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu   sync.Mutex
	pair *tls.Certificate
	read time.Time
}

// get is a tls.Config's GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.read) >= certificateEvery {
		if err := c.load(); err != nil {
			c.logger.Warn("the former certificate is used on", "error", err)
		}
	}
	return c.pair, nil
}

// load reads the files; where they cannot be used, the certificate stays as it is. c.mu is
// held, or nobody uses c yet.
func (c *certificate) load() error {
	c.read = time.Now()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load the certificate of tls_cert and tls_key: %w", err)
	}
	if c.pair != nil && !bytes.Equal(c.pair.Leaf.Raw, pair.Leaf.Raw) {
		c.logger.Info("the certificate was renewed", "until", pair.Leaf.NotAfter)
	}
	c.pair = &pair
	return nil
}
