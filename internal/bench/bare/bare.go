// Package bare is the fastest honest server of durable writes: net/http, no
// decoding, one synced Pebble commit a request. It is what POST /memorize is
// measured against.
//
// Any POST is a write: its body, cut or repeated to a fixed number of bytes, is
// the value under a new key of 16 bytes, and the answer comes after the sync.
// Concurrent requests share syncs through Pebble's own group commit. GET /livez
// answers without the store, so that the cost of HTTP alone can be measured.
// Nothing is ever read, deleted or refused for want of room: it is a yardstick,
// not a store.
package bare

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	keyBytes     = 16
	bodyBytesMax = 4 << 20
	// ValueBytesMax bounds what one request can store.
	ValueBytesMax = 1 << 20
	// headerWait and idleWait are long enough for any load generator.
	headerWait = 10 * time.Second
	idleWait   = time.Minute
)

// Sizes that suit many small commits: a memtable takes some seconds of load.
const (
	memtableBytes = 64 << 20
	memtablesMax  = 4
	l0Stop        = 64
)

// A Server stores what it is sent. It is safe for concurrent use.
type Server struct {
	db         *pebble.DB
	mux        *http.ServeMux
	valueBytes int
	// run tells this run's keys from those of earlier ones in the same folder,
	// and last numbers them.
	run     [keyBytes / 2]byte
	last    atomic.Uint64
	buffers sync.Pool
}

// Open opens or creates the store in a folder, for values of valueBytes each.
func Open(dir string, valueBytes int) (*Server, error) {
	if valueBytes < 1 || valueBytes > ValueBytesMax {
		return nil, fmt.Errorf("value bytes must be between 1 and %d, not %d", ValueBytesMax, valueBytes)
	}
	s := &Server{mux: http.NewServeMux(), valueBytes: valueBytes}
	rand.Read(s.run[:])
	s.buffers.New = func() any { return new(buffer) }
	var err error
	s.db, err = pebble.Open(dir, &pebble.Options{
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                memtableBytes,
		MemTableStopWritesThreshold: memtablesMax,
		L0StopWritesThreshold:       l0Stop,
		Logger:                      silence{},
	})
	if err != nil {
		return nil, fmt.Errorf("open bare store: %w", err)
	}
	s.mux.HandleFunc("POST /", s.write)
	s.mux.HandleFunc("GET /livez", live)
	return s, nil
}

// Close closes the store. No request may be under way.
func (s *Server) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close bare store: %w", err)
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mux.ServeHTTP(w, r)
}

// Serve answers the listener's connections until ctx ends, and closes it. It
// returns when the last request is answered.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: headerWait, IdleTimeout: idleWait}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		drained <- server.Shutdown(context.WithoutCancel(ctx))
	})
	err := server.Serve(listener)
	if stop() {
		return fmt.Errorf("serve: %w", err)
	}
	if err := <-drained; err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// A buffer holds what one request needs, to spare the collector.
type buffer struct {
	body  []byte
	key   [keyBytes]byte
	reply []byte
}

func (s *Server) write(w http.ResponseWriter, r *http.Request) {
	b := s.buffers.Get().(*buffer)
	defer s.buffers.Put(b)
	if err := b.read(http.MaxBytesReader(w, r.Body, bodyBytesMax), r.ContentLength); err != nil {
		http.Error(w, "body: "+err.Error(), http.StatusBadRequest)
		return
	}
	copy(b.key[:], s.run[:])
	binary.BigEndian.PutUint64(b.key[len(s.run):], s.last.Add(1))
	if err := s.db.Set(b.key[:], b.value(s.valueBytes), pebble.Sync); err != nil {
		http.Error(w, "store: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	b.reply = append(b.reply[:0], `{"memory_id":"`...)
	b.reply = hex.AppendEncode(b.reply, b.key[:])
	b.reply = append(b.reply, "\"}\n"...)
	w.Header().Set("Content-Type", "application/json")
	// A client that left does not read the answer; the write stands all the same.
	_, _ = w.Write(b.reply)
}

// read reads a whole body of the given length, or of unknown length if negative.
func (b *buffer) read(r io.Reader, length int64) error {
	if length == 0 {
		return errors.New("is empty")
	}
	if length > bodyBytesMax {
		return fmt.Errorf("has %d bytes, more than %d", length, bodyBytesMax)
	}
	b.body = b.body[:0]
	if length > 0 {
		if int64(cap(b.body)) < length {
			b.body = make([]byte, 0, length)
		}
		b.body = b.body[:length]
		_, err := io.ReadFull(r, b.body)
		return err
	}
	var err error
	if b.body, err = io.ReadAll(r); err == nil && len(b.body) == 0 {
		return errors.New("is empty")
	}
	return err
}

// value is the body, cut or repeated to n bytes.
func (b *buffer) value(n int) []byte {
	for len(b.body) < n {
		b.body = append(b.body, b.body[:min(len(b.body), n-len(b.body))]...)
	}
	return b.body[:n]
}

func live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"status\":\"ok\"}\n"))
}

// silence keeps Pebble's notes to itself, but not its last words.
type silence struct{}

// Infof implements pebble.Logger.
func (silence) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (silence) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger, which must not return.
func (silence) Fatalf(format string, args ...any) { panic(fmt.Errorf(format, args...)) }
