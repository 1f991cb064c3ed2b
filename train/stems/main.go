// Command stems prints the Portuguese term of each word that it reads, one a line,
// so that the rows of the trained table have the names that the index gives.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"lembra/internal/text"
)

func main() {
	if err := stem(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "stems:", err)
		os.Exit(1)
	}
}

// stem writes the Portuguese term of each line of r.
func stem(r io.Reader, w io.Writer) error {
	stemmer := text.NewStemmer()
	lines, out := bufio.NewScanner(r), bufio.NewWriter(w)
	for lines.Scan() {
		if _, err := fmt.Fprintln(out, stemmer.Term(lines.Text(), text.Portuguese)); err != nil {
			return fmt.Errorf("write term: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read words: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write terms: %w", err)
	}
	return nil
}
