package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// certificateEvery is how long a certificate is used before its files are read again, and
// certificateRetry how long where they could not be used: one of them may be new already.
const (
	certificateEvery = time.Minute
	certificateRetry = 5 * time.Second
)

// A certificate is what tls_cert and tls_key hold, as the clients who connect see it: it is
// read again now and then, so that a renewed one needs no restart. It is safe for concurrent
// use.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	pair atomic.Pointer[tls.Certificate]

	mu   sync.Mutex // one reads the files at a time, and nobody waits for it
	next time.Time  // when they are to be read again
}

// get is a tls.Config's GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		if !time.Now().Before(c.next) {
			if err := c.load(); err != nil {
				c.logger.Warn("the former certificate is used on", "error", err)
			}
		}
	}
	return c.pair.Load(), nil
}

// load reads the files; where they cannot be used, the certificate stays as it is. c.mu is
// held, or nobody uses c yet.
func (c *certificate) load() error {
	c.next = time.Now().Add(certificateRetry)
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load the certificate of tls_cert and tls_key: %w", err)
	}
	c.next = time.Now().Add(certificateEvery)
	if former := c.pair.Swap(&pair); former != nil && !bytes.Equal(former.Certificate[0], pair.Certificate[0]) {
		c.logger.Info("the certificate was renewed")
	}
	return nil
}
