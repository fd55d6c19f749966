package observe

import (
	"math"
	"time"
)

// How much of the past a forecast looks at. At one sample a minute it begins
// after half an hour and weighs six hours.
const (
	forecastLeast  = 30
	forecastRecent = 60
	forecastKeep   = 360
)

// farOff is beyond what a forecast can tell.
const farOff = 365 * 24 * time.Hour

// usage is how many bytes of a file system were used.
type usage struct {
	at   time.Time
	used int64
}

// forecast gives the present rate in bytes an hour, and how long free bytes last
// at it; 0 when nothing can be said: too few samples, no growth, or a year off.
//
// The rate is the lower of two slopes, that of all samples and that of the last
// ones: a bulk load that has just begun, or one that has ended, is no trend.
func forecast(samples []usage, free int64) (perHour *int64, full time.Duration) {
	if len(samples) < forecastLeast {
		return nil, 0
	}
	recent := samples[max(0, len(samples)-forecastRecent):]
	slope := math.Min(slopeOf(samples), slopeOf(recent))
	if math.IsNaN(slope) || math.IsInf(slope, 0) {
		return nil, 0
	}
	rate := int64(slope)
	if rate <= 0 || free < 0 {
		return &rate, 0
	}
	hours := float64(free) / slope
	if hours >= farOff.Hours() {
		return &rate, 0
	}
	return &rate, max(time.Second, time.Duration(hours*float64(time.Hour)))
}

// slopeOf is the least-squares slope in bytes an hour; NaN when the samples lie
// at one moment.
func slopeOf(samples []usage) float64 {
	first := samples[0]
	var n, sx, sy, sxx, sxy float64
	for _, s := range samples {
		x, y := s.at.Sub(first.at).Hours(), float64(s.used-first.used)
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
