// Command relais is the whole program: the node and its command line.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"relais/internal/app"
	"relais/internal/bench"
	"relais/internal/cli"
	"relais/internal/demo"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	in, out := int(os.Stdin.Fd()), int(os.Stderr.Fd())
	env := cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Terminal: term.IsTerminal(in) && term.IsTerminal(out),
		Version:  app.Version(),
		Local: cli.Local{
			Init: app.Init, Check: app.Check, Demo: demo.Command, Bench: bench.Run,
			Serve: func(ctx context.Context, configFile string, stdout, stderr io.Writer) error {
				return app.Serve(ctx, app.Options{ConfigFile: configFile, Stdout: stdout, Stderr: stderr})
			},
		},
	}
	if width, _, err := term.GetSize(out); err == nil {
		env.Width = width
	}
	return int(cli.Run(ctx, os.Args[1:], env))
}
