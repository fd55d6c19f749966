package config

// Thresholds are the figures above which a value is a finding. A warning is
// mailed, a page wakes somebody.
type Thresholds struct {
	Lag LagThresholds `yaml:"lag"`
}

func defaultThresholds() Thresholds {
	return Thresholds{Lag: defaultLagThresholds()}
}
