package pebblestore

import (
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"lembra"
	"lembra/internal/record"
)

// headsMax is how many agents' heads are kept in memory.
const headsMax = 16 << 10

// heads keeps the heads of the agents written to last: every write asks for its
// agent's twice. Only an append enters one, under its agent's lock, as what is
// read from the database without it may be old by the time it is entered.
type heads struct {
	byAgent *lru.Cache[agentName, record.Head]
}

type agentName struct {
	tenant lembra.Tenant
	agent  string
}

func newHeads() (heads, error) {
	c, err := lru.New[agentName, record.Head](headsMax)
	if err != nil {
		return heads{}, fmt.Errorf("make head cache: %w", err)
	}
	return heads{c}, nil
}

// head returns the head of an agent's latest generation.
func (s *Store) head(t lembra.Tenant, agent string) (record.Head, error) {
	if h, ok := s.heads.byAgent.Get(agentName{t, agent}); ok {
		return h, nil
	}
	return readHead(s.db, t, agent)
}
