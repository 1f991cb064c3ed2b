package text

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Traits say what a text is, beside what its terms say.
type Traits uint8

// The traits.
const (
	// Asks: there is a question in the text.
	Asks Traits = 1 << iota
	// Timed: there is an expression of time in the text, such as "yesterday",
	// "two weeks ago" or "in June".
	Timed
)

// Traits works out what the text is.
func (r *Reading) Traits() Traits {
	t := Traits(0)
	if asks(r.scanner.s) {
		t |= Asks
	}
	before := timeWord(0)
	for _, e := range r.entries {
		if e.time.tells() || before|e.time == timeQualifier|timeNoun {
			return t | Timed
		}
		before = e.time
	}
	return t
}

// asks tells whether a text has a question mark that ends something: in the middle
// of a word, as in the address of a page, it is none.
func asks(s string) bool {
	if strings.Contains(s, "？") || strings.Contains(s, "؟") {
		return true
	}
	for {
		i := strings.IndexByte(s, '?')
		if i < 0 {
			return false
		}
		s = s[i+1:]
		if next, _ := utf8.DecodeRuneInString(s); !unicode.IsLetter(next) && !unicode.IsDigit(next) {
			return true
		}
	}
}

// A timeWord says what a word has to do with time.
type timeWord uint8

const (
	// timeAlone is an expression of time by itself.
	timeAlone timeWord = 1 << iota
	// timeQualifier and timeNoun are one next to each other: "last night", "verão
	// passado".
	timeQualifier
	timeNoun
)

func (t timeWord) tells() bool { return t&timeAlone != 0 }

// timeOf tells what a folded word has to do with time.
func timeOf(w string) timeWord {
	switch w {
	case "yesterday", "today", "tonight", "tomorrow", "ago", "weekend", "weekends", "week", "weeks", "month", "months",
		"year", "years", "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "january",
		"february", "april", "june", "july", "august", "september", "october", "november", "december":
		return timeAlone
	case "ontem", "anteontem", "hoje", "amanha", "semana", "semanas", "mes", "meses", "ano", "anos", "domingo",
		"sabado", "janeiro", "fevereiro", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro",
		"novembro", "dezembro":
		return timeAlone
	case "last", "next", "past", "this", "passado", "passada", "proximo", "proxima", "neste", "nesta", "de", "em", "in":
		return timeQualifier
	case "night", "morning", "afternoon", "evening", "spring", "summer", "autumn", "fall", "winter", "may", "march",
		"primavera", "verao", "outono", "inverno", "noite", "marco":
		return timeNoun
	}
	if len(w) == 4 && (w[:2] == "19" || w[:2] == "20") && digits(w) {
		return timeAlone
	}
	return 0
}

func digits(w string) bool {
	return !strings.ContainsFunc(w, func(r rune) bool { return r < '0' || r > '9' })
}

// asksWhen tells whether a question, of these folded words, asks for a time.
func asksWhen(words []string) bool {
	for i, w := range words {
		rest := words[i+1:]
		switch w {
		case "when", "quando":
			if len(rest) > 0 && auxiliary(rest[0]) || i <= 1 && !slices.ContainsFunc(rest, asksOther) {
				return true
			}
		case "what", "which", "que", "qual":
			if slices.ContainsFunc(rest[:min(2, len(rest))], unitOfTime) {
				return true
			}
		case "long":
			if i > 0 && words[i-1] == "how" && slices.Contains(rest, "ago") {
				return true
			}
		case "quanto":
			if i > 0 && words[i-1] == "ha" && len(rest) > 0 && rest[0] == "tempo" {
				return true
			}
		}
	}
	return false
}

// auxiliary tells the verbs that stand behind a "when" that asks.
func auxiliary(w string) bool {
	switch w {
	case "am", "are", "can", "could", "did", "do", "does", "had", "has", "have", "is", "should", "was", "were", "will", "would":
		return true
	}
	return false
}

// asksOther tells the words of questions for something else than a time: behind a
// "when" at the start they make that a conjunction.
func asksOther(w string) bool {
	switch w {
	case "what", "which", "who", "whom", "whose", "where", "why", "how", "qual", "quais", "quem", "onde", "quanto", "quantos", "quantas":
		return true
	}
	return false
}

func unitOfTime(w string) bool {
	switch w {
	case "date", "day", "month", "time", "week", "year", "data", "dia", "mes", "hora", "horas", "semana", "ano":
		return true
	}
	return false
}
