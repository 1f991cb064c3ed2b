package lembra

import "context"

type readingKey struct{}

// WithReading returns a context under which wait is called before the memories of an answer
// are read, so that those who answer can bound how many do that at once. Where it returns an
// error, none are read.
func WithReading(ctx context.Context, wait func() error) context.Context {
	return context.WithValue(ctx, readingKey{}, wait)
}

// WaitToRead waits until the memories of an answer may be read. Without WithReading, and
// after the first time, it does not wait.
func WaitToRead(ctx context.Context) error {
	if wait, ok := ctx.Value(readingKey{}).(func() error); ok {
		return wait()
	}
	return nil
}
