package text

// A Stemmer makes the terms of single words, and remembers none: for who has words
// apart from texts. It is safe for concurrent use.
type Stemmer struct {
	english, portuguese map[string]string // irregular forms
}

// NewStemmer makes a Stemmer.
func NewStemmer() *Stemmer {
	return &Stemmer{english: irregularForms(irregularEnglish), portuguese: irregularForms(irregularPortuguese)}
}

// Term returns the term of a word, as a Scanner gives it, in a language: the one
// that an Analyzer has for it.
func (s *Stemmer) Term(word string, lang Language) string {
	switch lang {
	case English:
		return stemEnglish(word, s.english)
	case Portuguese:
		return stemPortuguese(word, s.portuguese)
	}
	return word
}
