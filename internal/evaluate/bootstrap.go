package evaluate

import (
	"math/rand/v2"
	"slices"
)

const (
	// resamples is how many samples an interval comes from; its bounds move by
	// less than a tenth of a point with ten times as many.
	resamples = 10_000
	// resampleSeed makes the same values have the same interval each time.
	resampleSeed = 1
	// tail is the share of means beyond each bound: 95 % lie between them.
	tail = 0.025
)

// An Estimate is a mean, and the interval that holds 95 % of the means of samples
// drawn, with replacement, from the same values (the percentile bootstrap).
type Estimate struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// EstimateOf estimates the mean of values. Of the differences between two runs,
// question by question, it is the paired bootstrap.
func EstimateOf(values []float64) Estimate {
	if len(values) == 0 {
		return Estimate{}
	}
	random := rand.New(rand.NewPCG(resampleSeed, uint64(len(values))))
	means := make([]float64, resamples)
	for i := range means {
		sum := 0.0
		for range values {
			sum += values[random.Uint32N(uint32(len(values)))]
		}
		means[i] = sum / float64(len(values))
	}
	slices.Sort(means)
	return Estimate{
		Mean: mean(values),
		Low:  means[int(tail*resamples)],
		High: means[int((1-tail)*resamples)-1],
	}
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
