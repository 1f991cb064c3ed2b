package text

import (
	"fmt"
	"time"
)

// dateWords names a date: "Monday 8 May 2023", "segunda 8 maio 2023".
func dateWords(t time.Time, lang Language) string {
	if lang != Portuguese {
		return fmt.Sprintf("%s %d %s %d", t.Weekday(), t.Day(), t.Month(), t.Year())
	}
	weekdays := [...]string{"domingo", "segunda", "terça", "quarta", "quinta", "sexta", "sábado"}
	months := [...]string{
		"janeiro", "fevereiro", "março", "abril", "maio", "junho",
		"julho", "agosto", "setembro", "outubro", "novembro", "dezembro",
	}
	return fmt.Sprintf("%s %d %s %d", weekdays[t.Weekday()], t.Day(), months[t.Month()-1], t.Year())
}
