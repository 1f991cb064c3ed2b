package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"lembra"
)

// fillers are what long memories are made of: sentences about all sorts of things,
// so that the whole of many of them is about nothing in particular.
var fillers = []string{
	"{Who} took the early train to {where} and read the paper on the way.",
	"The council of {where} voted to repair {n} bridges before the winter.",
	"We had soup and dark bread, and {who} told the story of the lost umbrella again.",
	"A storm tore {n} tiles from the roof of the school in {where}.",
	"{Who} is learning to play the cello and practises after dinner.",
	"The price of coffee went up by {n} cents since last month.",
	"In {where} the market opens at six, and the best tomatoes are gone by eight.",
	"{Who} forgot the password of the printer for the third time.",
	"Our flight to {where} was delayed by {n} minutes because of fog.",
	"The dentist said that {who} should come back in {n} weeks.",
	"There were {n} people in the queue at the post office.",
	"{Who} painted the kitchen yellow and the hallway a pale green.",
	"The new engine uses less fuel, but it is louder than the old one.",
	"On Sunday we walked along the river as far as {where}.",
	"{Who} wants to sell the car and buy {n} bicycles instead.",
	"The library in {where} lends tools and sewing machines, too.",
	"It rained for {n} days, and the cellar smelled of wet paper.",
	"{Who} signed the contract with the publisher on a Tuesday.",
	"The children built a hut of branches behind the football pitch.",
	"Nobody in the team could say why the server restarted {n} times.",
	"{Who} found a recipe for plum cake in an old notebook.",
	"The exhibition in {where} shows photographs of lighthouses.",
	"A neighbour complained about the drums, so {who} plays them at noon.",
	"The bank closed the branch in {where} and left one machine.",
	"{Who} ran {n} kilometres on Saturday and could not climb the stairs on Sunday.",
	"The lemon tree on the balcony has {n} leaves and no fruit.",
	"After the meeting {who} sent everybody the wrong spreadsheet.",
	"They say that the museum of {where} will be free for students.",
	"{Who} prefers novels in which nothing happens for {n} pages.",
	"The lift was out of order, and the piano had to wait downstairs.",
	"In the evening we played cards with the family from {where}.",
	"{Who} planted beans, garlic and {n} rows of potatoes.",
	"The vet says that the cat is healthy and much too heavy.",
	"A bus broke down near {where}, right in front of the bakery.",
	"{Who} has been allergic to walnuts since the age of {n}.",
	"The orchestra rehearsed the last movement {n} times.",
}

// prose is of so many bytes or a few more, with a sentence in the middle.
func prose(r *rand.Rand, size int, middle string) string {
	names := []string{"Oscar", "Helen", "Bruno", "Ingrid", "Samuel", "Priya", "Anton", "Louise", "Kenji", "Amara"}
	places := []string{"Porto", "Leeds", "Uppsala", "Bergen", "Graz", "Nantes", "Cork", "Turin", "Quito", "Perth"}
	pick := func(of []string) string { return of[r.IntN(len(of))] }
	var b strings.Builder
	for b.Len() < size {
		before := b.Len()
		who := pick(names)
		fill := strings.NewReplacer("{Who}", who, "{who}", who, "{where}", pick(places), "{n}", fmt.Sprint(2+r.IntN(90)))
		b.WriteString(fill.Replace(pick(fillers)) + " ")
		if before < size/2 && b.Len() >= size/2 {
			b.WriteString(middle)
		}
	}
	return b.String()
}

// A sentence in the middle of a memory of 30 KiB is found in every mode, among others
// that are as long, or short.
func TestBuriedSentence(t *testing.T) {
	const size = 30 << 10
	buried := [][2]string{ // and what asks for them
		{"Grandfather's violin was made by a monk in Bohemia. ", "Who made grandfather's violin?"},
		{"Diego broke his wrist while skating on the lake. ", "How did Diego break his wrist?"},
		{"My passport expires in March and must be renewed at the embassy. ", "When does my passport expire?"},
		{"The spare key to the boat is taped behind the compass. ", "Where is the spare key to the boat?"},
		{"The doctor prescribed antibiotics for the ear infection. ", "What did the doctor prescribe for the ear infection?"},
	}
	r := rand.New(rand.NewPCG(1, 2))
	var memories []lembra.MemorizeRequest
	for i, b := range buried {
		memories = append(memories, lembra.MemorizeRequest{AgentID: "a", MemoryID: fmt.Sprint("long-", i), Content: prose(r, size, b[0])})
	}
	for i := range 200 {
		length := 100
		if i%10 == 0 {
			length = size
		}
		memories = append(memories, lembra.MemorizeRequest{AgentID: "a", MemoryID: fmt.Sprint("other-", i), Content: prose(r, length, "")})
	}
	dir := filepath.Join(t.TempDir(), "data")
	p := boot(t, testConfig(dir), Parts{})
	c := dial(t, p.URL(), defaultKey(t, dir))
	stored, err := c.MemorizeBatch(t.Context(), memories)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range stored {
		if m.Error != nil {
			t.Fatalf("memorize %s: %v", memories[i].MemoryID, m.Error)
		}
	}
	for _, mode := range []lembra.Mode{lembra.ModeHybrid, lembra.ModeLexical, lembra.ModeSemantic} {
		for i, b := range buried {
			got, err := c.Recall(t.Context(), lembra.Query{AgentID: "a", Query: b[1], Mode: mode, TopK: 5})
			if err != nil {
				t.Fatal(err)
			}
			if found := ids(got.Results); len(found) == 0 || found[0] != fmt.Sprint("long-", i) {
				t.Errorf("%s, %q: found %v, want the memory first in which the sentence is buried", mode, b[1], found)
			}
		}
	}
}
