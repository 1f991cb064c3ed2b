package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"lembra"
	"lembra/client"
)

const (
	// importPatience is how long a server may be away.
	importPatience = 2 * time.Minute
	// importBytesMax bounds the lines in memory, and importBatchBytes those of a
	// batch, of which at least one line is sent.
	importBytesMax   = 64 << 20
	importBatchBytes = 1 << 20
	// importSinglesMax is how many memories without an id are sent at once.
	importSinglesMax = 32
	// importErrorsMax bounds the bad lines that are told.
	importErrorsMax = 100
	importPauseMax  = 5 * time.Second
)

// An importer sends the memories of a file.
//
// Each agent has its lane; a lane sends its memories in batches, one after the
// other, so that an agent's are stored in the order of the file. A batch is what
// has gathered while the one before was under way.
type importer struct {
	cli     *cli
	client  *client.Client
	options importOptions
	bar     *progressbar.ProgressBar // nil for none
	room    *semaphore.Weighted      // bytes of lines in memory
	began   time.Time                // by the server's clock

	mu     sync.Mutex
	stored int // acknowledged
	before int // of these, there before
	failed int
}

// An item is a memory on its way.
type item struct {
	line    line
	request lembra.MemorizeRequest
	key     string // Idempotency-Key, where the memory has no id
}

func newImporter(c *cli, cl *client.Client, options importOptions, bar *progressbar.ProgressBar) *importer {
	return &importer{cli: c, client: cl, options: options, bar: bar, room: semaphore.NewWeighted(importBytesMax)}
}

// run imports all lines and prints what became of them.
func (im *importer) run(ctx context.Context, input io.Reader) error {
	// What was there before the import was created before it, by the same clock.
	health, err := im.client.Health(ctx)
	if err != nil {
		return fmt.Errorf("reach the server: %w", err)
	}
	im.began = health.Timestamp
	start := time.Now()
	group, inner := errgroup.WithContext(ctx)
	lanes := make([]chan item, im.options.lanes)
	for i := range lanes {
		lanes[i] = make(chan item, im.options.batch)
		group.Go(func() error { return im.sendLane(inner, lanes[i]) })
	}
	group.Go(func() error {
		defer func() {
			for _, lane := range lanes {
				close(lane)
			}
		}()
		return im.readLines(inner, input, lanes)
	})
	err = contextError(ctx, group.Wait())
	return im.finish(err, time.Since(start))
}

func (im *importer) finish(err error, took time.Duration) error {
	if im.bar != nil {
		_ = im.bar.Finish()
	}
	if hidden := im.failed - importErrorsMax; hidden > 0 {
		im.cli.note("lembra: and %d more bad lines", hidden)
	}
	perr := im.cli.printf("%d memories imported: %d new, %d already there; %d lines failed; %.1f s, %.0f memories/s\n",
		im.stored, im.stored-im.before, im.before, im.failed, took.Seconds(), float64(im.stored)/max(took.Seconds(), 0.001))
	if err == nil && im.failed > 0 {
		err = fmt.Errorf("%d lines were not imported", im.failed)
	}
	return errors.Join(err, perr)
}

func (im *importer) readLines(ctx context.Context, input io.Reader, lanes []chan item) error {
	parser := newLineParser(im.options, func(name string) {
		im.say("field %q of the lines is dropped", name)
	})
	reader := newLineReader(&interruptible{ctx: ctx, in: input})
	for {
		l, err := reader.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read input: %w", err)
		}
		request, err := parser.parse(l)
		if err != nil {
			im.fail(l, err)
			continue
		}
		it := item{line: l, request: request}
		if request.MemoryID == "" {
			it.key = importKey(request.AgentID, l)
		}
		if err := im.room.Acquire(ctx, int64(len(l.text))); err != nil {
			return fmt.Errorf("wait for room: %w", err)
		}
		select {
		case lanes[laneOf(request.AgentID, len(lanes))] <- it:
		case <-ctx.Done():
			return fmt.Errorf("read input: %w", context.Cause(ctx))
		}
	}
}

// importKey is the Idempotency-Key of a line: the same for the same line of the
// same file, however it is cut into batches.
func importKey(agent string, l line) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "lembra import\x00%s\x00%d\x00", agent, l.number)
	_, _ = h.Write(l.text) // no hash fails
	return "import-" + hex.EncodeToString(h.Sum(nil))
}

func laneOf(agent string, lanes int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(agent)) // it cannot fail
	return int(h.Sum32() % uint32(lanes))
}

// sendLane sends what comes, in batches, in order.
func (im *importer) sendLane(ctx context.Context, lane <-chan item) error {
	var batch []item
	for first := range lane {
		batch = append(batch[:0], first)
		bytes := len(first.line.text)
	gather:
		for len(batch) < im.options.batch && bytes < importBatchBytes {
			select {
			case it, ok := <-lane:
				if !ok {
					break gather
				}
				batch = append(batch, it)
				bytes += len(it.line.text)
			default:
				break gather
			}
		}
		if err := im.send(ctx, batch); err != nil {
			return err
		}
		im.room.Release(int64(bytes))
	}
	return nil
}

// send sends items until each is stored or refused for good.
func (im *importer) send(ctx context.Context, items []item) error {
	ctx, cancel := context.WithTimeout(ctx, importPatience)
	defer cancel()
	for attempt := 0; len(items) > 0; attempt++ {
		again, err := im.sendOnce(ctx, items)
		switch {
		case len(again) == 0 && err == nil:
			return nil
		case err != nil && !passing(err):
			return err
		case len(again) < len(items):
			attempt = 0 // it goes on
		}
		items = again
		if perr := pauseAfter(ctx, attempt); perr != nil {
			return fmt.Errorf("gave up waiting for the server after %s (run it again to go on): %w", importPatience, err)
		}
	}
	return nil
}

func pauseAfter(ctx context.Context, attempt int) error {
	wait := time.NewTimer(rand.N(min(importPauseMax, 100*time.Millisecond<<min(attempt, 10))))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-wait.C:
		return nil
	}
}

// passing tells whether an error may be gone in a while.
func passing(err error) bool {
	e, ok := errors.AsType[*lembra.Error](err)
	if !ok {
		return true // no answer
	}
	switch e.Code {
	case lembra.CodeOverloaded, lembra.CodeRateLimited, lembra.CodeUnavailable,
		lembra.CodeStoreReadOnly, lembra.CodeDeadline, lembra.CodeInternal:
		return true
	}
	return false
}

// sendOnce sends items one time, and returns those that must be sent again, with
// one of the reasons. An error that is not passing ends the import.
func (im *importer) sendOnce(ctx context.Context, items []item) ([]item, error) {
	var named, unnamed []item
	for _, it := range items {
		if it.key == "" {
			named = append(named, it)
		} else {
			unnamed = append(unnamed, it)
		}
	}
	again, err := im.sendBatch(ctx, named)
	if err != nil && !passing(err) {
		return again, err
	}
	more, serr := im.sendSingles(ctx, unnamed)
	if err == nil || serr != nil && !passing(serr) {
		err = serr
	}
	return append(again, more...), err
}

// sendBatch sends items that have a memory_id.
func (im *importer) sendBatch(ctx context.Context, items []item) ([]item, error) {
	if len(items) == 0 {
		return nil, nil
	}
	requests := make([]lembra.MemorizeRequest, len(items))
	for i, it := range items {
		requests[i] = it.request
	}
	outcomes, err := im.client.MemorizeBatch(ctx, requests)
	if err != nil {
		return im.batchFailed(ctx, items, err)
	}
	var (
		again []item
		last  error
	)
	for i, o := range outcomes {
		if o.Error != nil {
			o.Error.Field = strings.TrimPrefix(strings.TrimPrefix(o.Error.Field, fmt.Sprintf("memories[%d]", i)), ".")
			if passing(o.Error) {
				again, last = append(again, items[i]), o.Error
				continue
			}
		}
		im.settle(items[i], o)
	}
	return again, last
}

// batchFailed deals with a batch that was refused as a whole: one that is too
// large for the server is halved.
func (im *importer) batchFailed(ctx context.Context, items []item, err error) ([]item, error) {
	e, ok := errors.AsType[*lembra.Error](err)
	switch {
	case passing(err):
		return items, err
	case !ok || e.Code != lembra.CodeTooLarge && e.Field != "memories":
		return items, fmt.Errorf("import: %w", err)
	case len(items) == 1:
		im.fail(items[0].line, e)
		return nil, nil
	}
	half := len(items) / 2
	again, err := im.sendBatch(ctx, items[:half])
	if err != nil {
		return append(again, items[half:]...), err
	}
	return im.sendBatch(ctx, items[half:])
}

// sendSingles sends items without a memory_id: an Idempotency-Key covers one
// request, and batches are not cut the same the next time.
func (im *importer) sendSingles(ctx context.Context, items []item) ([]item, error) {
	var (
		group errgroup.Group
		mu    sync.Mutex
		again []item
		last  error
	)
	group.SetLimit(importSinglesMax)
	for _, it := range items {
		group.Go(func() error {
			done, err := im.client.Memorize(ctx, it.request, client.IdempotencyKey(it.key))
			e, ok := errors.AsType[*lembra.Error](err)
			switch {
			case err == nil:
				im.settle(it, lembra.MemorizeOutcome{Memorized: &done})
			case passing(err):
				mu.Lock()
				defer mu.Unlock()
				again, last = append(again, it), err
			case !ok || e.Code == lembra.CodeUnauthorized || e.Code == lembra.CodeForbidden:
				return fmt.Errorf("import: %w", err)
			default:
				im.settle(it, lembra.MemorizeOutcome{Error: e})
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return again, err
	}
	return again, last
}

// settle notes what became of an item for good.
func (im *importer) settle(it item, o lembra.MemorizeOutcome) {
	if o.Error != nil {
		im.fail(it.line, o.Error)
		return
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	im.stored++
	if o.Memorized != nil && o.CreatedAt.Before(im.began) {
		im.before++
	}
	im.advance(it.line)
}

// fail tells of a bad line.
func (im *importer) fail(l line, err error) {
	im.mu.Lock()
	im.failed++
	told := im.failed <= importErrorsMax
	im.advance(l)
	im.mu.Unlock()
	if told {
		im.say("line %d: %v", l.number, err)
	}
}

func (im *importer) advance(l line) {
	if im.bar != nil {
		_ = im.bar.Add64(l.bytes)
	}
}

// say writes a line beside the progress bar.
func (im *importer) say(format string, args ...any) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.bar != nil {
		_ = im.bar.Clear()
	}
	im.cli.note("lembra: %s", fmt.Sprintf(format, args...))
}
