package pebblestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"lembra"
	"lembra/internal/record"
)

// A kind is the first byte of a key. Kinds are part of the stored format and are
// never given another meaning.
type kind byte

const (
	kindCreated   kind = 'c'
	kindDerived   kind = 'd'
	kindDoomed    kind = 'D'
	kindExpiry    kind = 'e'
	kindFormat    kind = 'f'
	kindHead      kind = 'h'
	kindID        kind = 'i'
	kindKey       kind = 'k'
	kindKeyHash   kind = 'H'
	kindKeyID     kind = 'K'
	kindLiving    kind = 'l'
	kindRecord    kind = 'r'
	kindSetting   kind = 's'
	kindTenant    kind = 't'
	kindUser      kind = 'u'
	kindLogUser   kind = 'U'
	timeSize           = 8
	keySizeGuess       = 128
	headSizeGuess      = 64
	signBit            = 1 << 63
	numberLenMax       = 8
	textEnd       byte = 0
)

var (
	errKey   = errors.New("malformed key")
	errValue = errors.New("malformed value")
)

// checkIDs refuses texts that would break the order or the bounds of keys.
func checkIDs(ids ...string) error {
	for _, id := range ids {
		if strings.IndexByte(id, textEnd) >= 0 {
			return fmt.Errorf("id %q contains a zero byte", id)
		}
	}
	return nil
}

// newKey starts a key of a kind, with room for the rest.
func newKey(k kind) []byte {
	return append(make([]byte, 0, keySizeGuess), byte(k))
}

// appendText adds a text that contains no zero byte.
func appendText(b []byte, s string) []byte {
	return append(append(b, s...), textEnd)
}

// appendNumber adds a number: how many significant bytes it has, then these,
// most significant first. 0 is a single zero byte.
func appendNumber(b []byte, n uint64) []byte {
	size := (bits.Len64(n) + 7) / 8
	b = append(b, byte(size))
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// appendTime adds a time in microseconds; the flipped sign keeps times before
// 1970 in front.
func appendTime(b []byte, us int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(us)^signBit)
}

func appendTenant(b []byte, t lembra.Tenant) []byte {
	return appendNumber(appendText(b, t.ID), t.Generation)
}

func appendLog(b []byte, log record.LogID) []byte {
	return appendNumber(appendText(appendTenant(b, log.Tenant), log.Agent), log.AgentGeneration)
}

func tenantKey(k kind, t lembra.Tenant) []byte { return appendTenant(newKey(k), t) }

func logKey(k kind, log record.LogID) []byte { return appendLog(newKey(k), log) }

// Functions that fill a key are apart from those that make it, so that these can be
// compiled into their callers, and keys that nobody keeps need no memory of their own.

func numberKey(k kind, log record.LogID, number uint64) []byte {
	return appendLogNumber(newKey(k), log, number)
}

func appendLogNumber(b []byte, log record.LogID, number uint64) []byte {
	return appendNumber(appendLog(b, log), number)
}

func headKey(t lembra.Tenant, agent string) []byte {
	return appendAgent(newKey(kindHead), t, agent)
}

func appendAgent(b []byte, t lembra.Tenant, agent string) []byte {
	return appendText(appendTenant(b, t), agent)
}

func idKey(t lembra.Tenant, memoryID, agent string) []byte {
	return appendID(newKey(kindID), t, memoryID, agent)
}

func appendID(b []byte, t lembra.Tenant, memoryID, agent string) []byte {
	return appendText(appendText(appendTenant(b, t), memoryID), agent)
}

func createdKey(log record.LogID, us int64, first uint64) []byte {
	return appendCreated(newKey(kindCreated), log, us, first)
}

func appendCreated(b []byte, log record.LogID, us int64, first uint64) []byte {
	b = appendText(appendTime(appendTenant(b, log.Tenant), us), log.Agent)
	return appendNumber(appendNumber(b, log.AgentGeneration), first)
}

func expiryKey(us int64, log record.LogID, number uint64) []byte {
	return appendNumber(appendLog(appendTime(newKey(kindExpiry), us), log), number)
}

func userKey(log record.LogID, user string) []byte {
	b := appendText(appendText(tenantKey(kindUser, log.Tenant), user), log.Agent)
	return appendNumber(b, log.AgentGeneration)
}

func logUserKey(log record.LogID, user string) []byte {
	return appendText(logKey(kindLogUser, log), user)
}

func textKey(k kind, texts ...string) []byte {
	b := newKey(k)
	for _, s := range texts {
		b = appendText(b, s)
	}
	return b
}

// behind returns the first key after all those that start with prefix. Kinds
// are letters, so there always is one.
func behind(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// A decoder takes the parts of a key in order. The first malformed part makes
// all that follow zero, and end reports it.
type decoder struct {
	b   []byte
	bad bool
}

// decode starts behind the kind.
func decode(key []byte) *decoder {
	if len(key) == 0 {
		return &decoder{bad: true}
	}
	return &decoder{b: key[1:]}
}

func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.b) {
		d.bad = true
		return nil
	}
	part := d.b[:n]
	d.b = d.b[n:]
	return part
}

func (d *decoder) text() string {
	i := bytes.IndexByte(d.b, textEnd)
	if d.bad || i < 0 {
		d.bad = true
		return ""
	}
	return string(d.take(i + 1)[:i])
}

func (d *decoder) number() uint64 {
	size := d.take(1)
	if d.bad || size[0] > numberLenMax {
		d.bad = true
		return 0
	}
	part := d.take(int(size[0]))
	if len(part) > 0 && part[0] == 0 {
		d.bad = true // not the shortest form: the order would break
	}
	if d.bad {
		return 0
	}
	var n uint64
	for _, c := range part {
		n = n<<8 | uint64(c)
	}
	return n
}

func (d *decoder) time() int64 {
	part := d.take(timeSize)
	if d.bad {
		return 0
	}
	return int64(binary.BigEndian.Uint64(part) ^ signBit)
}

func (d *decoder) tenant() lembra.Tenant {
	return lembra.Tenant{ID: d.text(), Generation: d.number()}
}

func (d *decoder) log() record.LogID {
	return record.LogID{Tenant: d.tenant(), Agent: d.text(), AgentGeneration: d.number()}
}

// end returns an error where a part was malformed or something is left.
func (d *decoder) end() error {
	if d.bad || len(d.b) > 0 {
		return errKey
	}
	return nil
}

const (
	flagErased byte = 1 // of a head
	flagGone   byte = 1 // of a memory id's entry
)

// encodeHead is a head's value: flags, numbers, write id. Tenant and agent are
// in the key.
func encodeHead(h record.Head) []byte { return appendHead(make([]byte, 0, headSizeGuess), h) }

func appendHead(b []byte, h record.Head) []byte {
	flags := byte(0)
	if h.Erased {
		flags = flagErased
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, h.Log.AgentGeneration)
	b = binary.AppendUvarint(b, h.Last)
	b = binary.AppendUvarint(b, h.Live)
	b = binary.AppendUvarint(b, h.LiveBytes)
	return append(b, h.WriteID...)
}

func decodeHead(t lembra.Tenant, agent string, b []byte) (record.Head, error) {
	h := record.Head{Log: record.LogID{Tenant: t, Agent: agent}}
	if len(b) == 0 {
		return h, fmt.Errorf("head of agent %q: %w", agent, errValue)
	}
	h.Erased = b[0]&flagErased != 0
	b = b[1:]
	for _, field := range []*uint64{&h.Log.AgentGeneration, &h.Last, &h.Live, &h.LiveBytes} {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return h, fmt.Errorf("head of agent %q: %w", agent, errValue)
		}
		*field, b = n, b[size:]
	}
	h.WriteID = append([]byte(nil), b...)
	return h, nil
}

// An idEntry is the value of a memory id's entry.
type idEntry struct {
	generation uint64 // of the agent
	number     uint64 // of the latest version
	gone       bool
}

func (e idEntry) encode() []byte {
	b := make([]byte, 1, 1+2*binary.MaxVarintLen64)
	if e.gone {
		b[0] = flagGone
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, e.generation), e.number)
}

func decodeIDEntry(b []byte) (idEntry, error) {
	if len(b) == 0 {
		return idEntry{}, fmt.Errorf("entry of a memory id: %w", errValue)
	}
	generation, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return idEntry{}, fmt.Errorf("entry of a memory id: %w", errValue)
	}
	number, m := binary.Uvarint(b[1+n:])
	if m <= 0 || 1+n+m != len(b) {
		return idEntry{}, fmt.Errorf("entry of a memory id: %w", errValue)
	}
	return idEntry{generation: generation, number: number, gone: b[0]&flagGone != 0}, nil
}
