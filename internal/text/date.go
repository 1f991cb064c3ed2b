package text

import (
	"strconv"
	"time"
)

// appendDate appends the words of a date, folded: "monday 8 may 2023", "segunda 8
// maio 2023". Texts in other languages get the English words.
func appendDate(b []byte, t time.Time, lang Language) []byte {
	weekdays := [...]string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
	months := [...]string{
		"january", "february", "march", "april", "may", "june",
		"july", "august", "september", "october", "november", "december",
	}
	if lang == Portuguese {
		weekdays = [...]string{"domingo", "segunda", "terca", "quarta", "quinta", "sexta", "sabado"}
		months = [...]string{
			"janeiro", "fevereiro", "marco", "abril", "maio", "junho",
			"julho", "agosto", "setembro", "outubro", "novembro", "dezembro",
		}
	}
	b = append(append(b, weekdays[t.Weekday()]...), ' ')
	b = append(strconv.AppendInt(b, int64(t.Day()), 10), ' ')
	b = append(append(b, months[t.Month()-1]...), ' ')
	return strconv.AppendInt(b, int64(t.Year()), 10)
}
