package static

// Passages are what a long text is compared by, beside the whole: its mean says
// little of any sentence in it.
const (
	// wholeTokens is how many of the teacher's tokens a text has at most that is not
	// cut: some 500 bytes of English.
	wholeTokens = 128
	// passageRows is how many rows a passage has at most where a text has few: a
	// sentence or two. With longer passages fewer answers are found in paragraphs
	// by meaning.
	passageRows = 32
	// passagesMax is how many passages a text has at most, so that what a memory takes
	// is bounded: with the whole they are 256 vectors, 64 KiB. A text of 32 KiB, the
	// longest content that is accepted by default, has some 200 of prose.
	passagesMax = 255
)

// passages appends where the passages of a text of n rows end, the last at n. They
// end at ends of sentences where there is one in the second half of what a passage
// may hold, and else where they are full.
func passages(to []int, n int, sentences []int) []int {
	size := passageRows
	for {
		to = cutAt(to[:0], n, size, sentences)
		if len(to) <= passagesMax {
			return to
		}
		// Passages are longer than half their size, all but the last.
		size += size / 2
	}
}

func cutAt(to []int, n, size int, sentences []int) []int {
	for start := 0; start < n; {
		end := min(start+size, n)
		if end < n {
			last := 0
			for len(sentences) > 0 && sentences[0] <= end {
				last, sentences = sentences[0], sentences[1:]
			}
			if last > start+size/2 {
				end = last
			}
		}
		to = append(to, end)
		start = end
	}
	return to
}
