// Package text turns a text into the terms that a lexical index holds: the
// words of the text, folded, without stop words, stemmed in the text's language.
//
// A word is found by the segmentation of Unicode (UAX #29), cut once more where
// that leaves punctuation inside ("great.Then" is two words, "3.5" is one), in
// lower case and with its accents folded. A [Scanner] walks the words. A [Language]
// is judged per text by its function words and letters. A term is the stem of a
// word, irregular forms joined with their lemma (went = go); [Analyzer] makes the
// terms of memories and queries.
//
// Words are folded before they are stemmed, so that "nao" meets "não" and
// "informacao" meets "informação": what Portuguese suffixes need of their accents
// is restored by rule, and so is the same for both spellings. Texts in other
// languages than English and Portuguese are not stemmed and keep their stop words.
//
// What is stored with a memory is only comparable with a query while the analyser
// is the same: any change of the output raises [Version].
package text

// Version is the version of the analyser: it is raised whenever the terms of any
// text change.
const Version = 2

// A Language is one that texts are analysed in.
type Language uint8

// The languages. Other stands for every other language, and for texts that do not
// tell.
const (
	Other Language = iota
	English
	Portuguese
)

// String names the language.
func (l Language) String() string {
	switch l {
	case English:
		return "english"
	case Portuguese:
		return "portuguese"
	}
	return "other"
}
