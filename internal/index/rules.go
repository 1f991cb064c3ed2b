package index

import (
	"fmt"
	"slices"
	"strings"
)

// Rules is a set of the rules of the ranking, to be left out. What is never left
// out is the weight of the query's words in a memory itself.
type Rules uint16

// The rules.
const (
	// Neighbours: a memory has a share of what its neighbours in the session say, of
	// their words and of their vectors.
	Neighbours Rules = 1 << iota
	// Session: a memory has a share of what its whole session says.
	Session
	// Pairs: words of the query that follow each other say more where they do so
	// in a memory, too.
	Pairs
	// Answers: a memory has a share of what the one before says, where that asks.
	Answers
	// Speakers: what the only speaker whom the query names says counts more.
	Speakers
	// Times: where the query asks for a time, memories that tell one count more.
	Times
	// Questions: memories that ask something count less.
	Questions
	// Unseen: a word that the agent never used stands for those that begin alike.
	Unseen
	// Meanings: in hybrid mode, a word stands for those that mean nearly the same.
	Meanings
	// Passages: what the best passage of a long memory says counts as that of a
	// short one does.
	Passages
	// Names: the names by which the query calls speakers are no part of what it means:
	// its vector and the weight of vectors are made of its other words.
	Names

	allRules = Names<<1 - 1
)

// RuleNames returns the names of all rules, in the order of their bits.
func RuleNames() []string {
	return []string{"neighbours", "session", "pairs", "answers", "speakers", "times", "questions", "unseen", "meanings", "passages", "names"}
}

// ParseRules returns the rules of these names; "all" is all of them.
func ParseRules(names []string) (Rules, error) {
	rules := Rules(0)
	for _, name := range names {
		i := slices.Index(RuleNames(), name)
		switch {
		case name == "all":
			rules |= allRules
		case i < 0:
			return 0, fmt.Errorf("%q is no rule: use %s or all", name, strings.Join(RuleNames(), ", "))
		default:
			rules |= 1 << i
		}
	}
	return rules, nil
}

func (r Rules) has(rule Rules) bool { return r&rule != 0 }

// The parameters of the ranking.
const (
	k1    = 1.2
	b     = 0.75
	delta = 0.2
	// sessionWeight is the share of a session's own score in that of its
	// memories.
	sessionWeight = 0.5
	// besideShare is the share that the memories right before and behind one in its
	// session have in its similarity: of how far theirs are above the mean.
	besideShare  = 0.4
	pairWeight   = 0.5
	answerWeight = 0.3
	unseenWeight = 0.5
	// What a score is multiplied with is 1 and these.
	speakerFactor  = 0.4
	timeFactor     = 0.3
	questionFactor = -0.2
)

const (
	// pairMemoriesMax is the number of memories up to which the rarer word of a
	// pair is looked at. Each of them is read, at some 50 ns in a large shelf:
	// beyond, pairs would cost more than all else. Two words that are both that
	// frequent rarely make a name or a term.
	pairMemoriesMax = 256
	// pairTokensMax bounds the terms of all memories that are read for the pairs of
	// one query, some five milliseconds' worth; the pairs from there on say nothing.
	pairTokensMax = 1 << 20
	// unseenLetters is how many letters an unseen word must share with others.
	unseenLetters = 5
	// unseenTermsMax bounds the terms that an unseen word stands for, the most
	// frequent ones.
	unseenTermsMax = 16
)
