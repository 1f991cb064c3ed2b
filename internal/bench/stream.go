package bench

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	prompb "buf.build/gen/go/prometheus/prometheus/protocolbuffers/go"
	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/proto"
)

// bucketsMax bounds the range of a histogram's buckets; k6's have a few hundred.
const bucketsMax = 1 << 16

// decodeStream takes what k6 pushes (Prometheus remote write, trends as native
// histograms) into the snapshot of its process.
func (s *snapshot) decodeStream(body []byte) error {
	if n, err := snappy.DecodedLen(body); err != nil || n > pushMax {
		return fmt.Errorf("decode metrics: %d bytes when uncompressed, at most %d: %w", n, pushMax, err)
	}
	plain, err := snappy.Decode(nil, body)
	if err != nil {
		return fmt.Errorf("decode metrics: %w", err)
	}
	var request prompb.WriteRequest
	if err := proto.Unmarshal(plain, &request); err != nil {
		return fmt.Errorf("decode metrics: %w", err)
	}
	for _, t := range request.GetTimeseries() {
		if err := s.takeSeries(t); err != nil {
			return err
		}
	}
	return nil
}

func (s *snapshot) takeSeries(t *prompb.TimeSeries) error {
	key := series{}
	for _, l := range t.GetLabels() {
		switch l.GetName() {
		case "__name__":
			key.metric = strings.TrimPrefix(l.GetValue(), "k6_")
		case "name":
			key.name = l.GetValue()
		case "check":
			key.check = l.GetValue()
		case "expected_response":
			key.expected = l.GetValue()
		}
	}
	for _, h := range t.GetHistograms() {
		decoded, err := decodeHistogram(h)
		if err != nil {
			return fmt.Errorf("decode metric %s: %w", key.metric, err)
		}
		s.seen(h.GetTimestamp())
		key.metric = strings.TrimSuffix(key.metric, "_seconds")
		s.trends[key] = decoded
	}
	for _, v := range t.GetSamples() {
		s.seen(v.GetTimestamp())
		if s.settled {
			continue
		}
		if metric, ok := strings.CutSuffix(key.metric, "_total"); ok {
			key.metric = metric
			s.counters[key] = v.GetValue()
		} else if metric, ok := strings.CutSuffix(key.metric, "_rate"); ok && metric == metricChecks {
			s.shares[key.check] = v.GetValue()
		}
		// The other rate is known from the requests, and gauges are asked for.
	}
	return nil
}

// seen keeps the latest time of any sample. It is when the sample was taken, and
// not when it was sent: k6 may be too busy to send at once.
func (s *snapshot) seen(ms int64) {
	if t := time.UnixMilli(ms); t.After(s.at) {
		s.at = t
	}
}

// decodeHistogram decodes a native histogram of seconds. (Its bucket i holds
// what is in (factor^(i-1), factor^i].)
func decodeHistogram(p *prompb.Histogram) (histogram, error) {
	h := histogram{count: p.GetCountInt(), sum: 1000 * p.GetSum(), zero: p.GetZeroCountInt(), scale: p.GetSchema()}
	if h.scale < -4 || h.scale > 8 {
		return histogram{}, fmt.Errorf("the histogram has schema %d: want one from -4 to 8", h.scale)
	}
	deltas := p.GetPositiveDeltas()
	index, count := int64(-1), int64(0)
	for i, span := range p.GetPositiveSpans() {
		index += int64(span.GetOffset())
		if i == 0 {
			h.offset = int32(index)
		}
		if int(span.GetLength()) > len(deltas) || index+int64(span.GetLength())-int64(h.offset) > bucketsMax || index < int64(h.offset) {
			return histogram{}, errors.New("the histogram's spans do not fit its buckets")
		}
		for range span.GetLength() {
			count += deltas[0]
			deltas = deltas[1:]
			if gap := int(index) - int(h.offset) - len(h.counts); gap > 0 {
				h.counts = append(h.counts, make([]uint64, gap)...)
			}
			h.counts = append(h.counts, uint64(max(0, count)))
			index++
		}
	}
	if len(h.counts) > 0 {
		if h.zero == 0 {
			h.min = 1000 * h.bound(0)
		}
		h.max = 1000 * h.bound(len(h.counts))
	}
	return h, nil
}

// bound is the lower bound of the i-th bucket, in seconds.
func (h histogram) bound(i int) float64 {
	return math.Exp2((float64(h.offset) + float64(i)) * math.Exp2(-float64(h.scale)))
}
