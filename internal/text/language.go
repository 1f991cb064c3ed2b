package text

// Judge says which language a text is in: English, Portuguese, or Other where it
// is another or does not tell.
func Judge(s string) Language {
	var sc Scanner
	var e evidence
	sc.Reset(s)
	for sc.Next() {
		e.add(wordEvidence(string(sc.Word())), sc.hint)
	}
	return e.language()
}

// evidence is what the words of a text say of its language, in points.
type evidence struct {
	english, portuguese, foreign int
	// foreignWords counts words that are not in Latin script.
	words, foreignScript int
}

// What a word is worth.
const (
	pointsFunctionWord = 8
	pointsTilde        = 12
	pointsAccent       = 4
)

// add counts a word: what it says itself, and its letters.
func (e *evidence) add(w evidence, h hint) {
	e.words++
	e.english += w.english
	e.portuguese += w.portuguese
	e.foreign += w.foreign
	switch {
	case h&hintScript != 0:
		e.foreignScript++
	case h&hintForeign != 0:
		e.foreign += pointsFunctionWord
	case h&hintPortuguese != 0:
		e.portuguese += pointsTilde
	case h&hintAccent != 0:
		e.portuguese += pointsAccent
	}
}

// wordEvidence is what a folded word says.
func wordEvidence(w string) evidence {
	english, portuguese, foreign := stopEnglish(w), stopPortuguese(w), stopForeign(w)
	var e evidence
	switch {
	case english && portuguese:
	case english:
		e.english = pointsFunctionWord
	case portuguese && foreign:
		e.portuguese, e.foreign = pointsFunctionWord/2, pointsFunctionWord/2
	case portuguese:
		e.portuguese = pointsFunctionWord
	case foreign:
		e.foreign = pointsFunctionWord
	}
	return e
}

func (e *evidence) language() Language {
	switch {
	case 2*e.foreignScript > e.words:
		return Other
	case e.foreign > max(e.english, e.portuguese):
		return Other
	case e.english > e.portuguese:
		return English
	case e.portuguese > e.english:
		return Portuguese
	}
	return Other
}
