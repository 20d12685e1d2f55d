package cli

import (
	"context"
	"io"

	"relais/internal/config"
	"relais/internal/record"
)

// Local are the commands that work without a running node. The program fills
// them with functions of rooms above this one.
type Local struct {
	Init  func(ctx context.Context, ch config.Choices) (*InitReport, error)
	Serve func(ctx context.Context, configFile string, stdout, stderr io.Writer) error
	Demo  func(ctx context.Context, d DemoChoices) error
	Bench func(ctx context.Context, b BenchChoices) (*BenchReport, error)
	// Check verifies the store below a data directory. fault.Conflict while a node runs there.
	Check func(ctx context.Context, dir string, bodies bool, progress func(step string, done, total int64)) (*record.Report, error)
}

// InitReport is what init made.
type InitReport struct {
	Dir        string            `json:"dir"`
	Config     string            `json:"config"`
	Hostname   string            `json:"hostname"`
	Store      string            `json:"store"` // its kind alone: a URL may hold a password
	KeyFile    string            `json:"key_file"`
	SelfSigned bool              `json:"self_signed"` // a certificate was made
	Listeners  map[string]string `json:"listeners"`
	// The first administrator, and the token to sign in to the console; shown once.
	Administrator string `json:"administrator"`
	Token         string `json:"token"`
}
