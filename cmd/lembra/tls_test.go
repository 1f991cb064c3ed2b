package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// writeCertificate makes a certificate for loopback and its key in a folder, and
// returns who trusts it.
func writeCertificate(t *testing.T, dir string) (cert, key string, trusting *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lembra"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, trusting = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()
	pemCert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	trusting.AppendCertsFromPEM(pemCert)
	if err := os.WriteFile(cert, pemCert, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600); err != nil {
		t.Fatal(err)
	}
	return cert, key, trusting
}

// secure returns a client that trusts the pool and speaks HTTP/2, or HTTP/1.1.
func secure(t *testing.T, pool *x509.CertPool, http2 bool) *http.Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: http2, MaxConnsPerHost: 1,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func getLivez(t *testing.T, c *http.Client, p *Program, proto int) {
	t.Helper()
	w, err := c.Get(p.URL() + "/livez")
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	defer func() { _ = w.Body.Close() }()
	if text, err := io.ReadAll(w.Body); err != nil || w.StatusCode != 200 || w.ProtoMajor != proto {
		t.Errorf("HTTP/%d, status %d: %s (%v)", w.ProtoMajor, w.StatusCode, text, err)
	}
}

// A certificate that is renewed is used within a minute, and one that cannot be read is not.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key, _ := writeCertificate(t, dir)
	c := &certificate{certFile: cert, keyFile: key, logger: slog.New(slog.DiscardHandler)}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	first := c.pair.Load()
	want := func(what string, same bool) {
		t.Helper()
		got, err := c.get(nil)
		if err != nil || (got == first) != same {
			t.Errorf("%s: the same is used: %v (%v), want %v", what, got == first, err, same)
		}
	}
	writeCertificate(t, dir)
	want("just read", true)
	c.next = time.Now()
	want("renewed", false)
	first = c.pair.Load()
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	c.next = time.Now()
	want("without its key", true)
	if left := time.Until(c.next); left <= 0 || left > certificateRetry {
		t.Errorf("one that cannot be read is read again in %s", left)
	}
	writeCertificate(t, dir)
	c.next = time.Now()
	c.mu.Lock()
	want("while another reads it", true)
	c.mu.Unlock()
	want("with its key again", false)
}

// With a certificate the server speaks HTTPS, and HTTP/2 to those who do, within
// the same budget of connections.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(filepath.Join(dir, "data"))
	config.ConnectionsMax = 1
	var pool *x509.CertPool
	config.TLSCert, config.TLSKey, pool = writeCertificate(t, dir)
	p := boot(t, config, Parts{})
	if !strings.HasPrefix(p.URL(), "https://127.0.0.1:") {
		t.Errorf("URL %s", p.URL())
	}
	two := secure(t, pool, true)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() { getLivez(t, two, p, 2) })
	}
	group.Wait()
	if n := p.clients.Open(); n != 1 {
		t.Errorf("%d connections for requests that share one", n)
	}
	// The one connection goes to who waits for it, when its client is answered next,
	// and comes back likewise.
	one := secure(t, pool, false)
	group.Go(func() { getLivez(t, one, p, 1) })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a connection of HTTP/2 is kept while another client waits")
		}
		getLivez(t, two, p, 2)
		if waiting := metric(t, p, "lembra_connections_recycled_total"); waiting > 0 {
			break
		}
	}
	group.Wait()
}

// metric is the value of a counter or gauge, or how many values a histogram has.
func metric(t *testing.T, p *Program, name string) float64 {
	t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestWrongCertificate(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(filepath.Join(dir, "data"))
	config.TLSCert, config.TLSKey = filepath.Join(dir, "none.pem"), filepath.Join(dir, "none.key")
	_, err := OpenProgram(t.Context(), config, slog.New(slog.DiscardHandler), Parts{})
	if err == nil || !strings.Contains(err.Error(), "tls_cert") || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("without the files: %v", err)
	}
	if _, err := os.Stat(config.Data); err == nil {
		t.Error("a data folder is left behind")
	}
}
