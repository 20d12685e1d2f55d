package demo

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/term"

	"relais/internal/cli"
	"relais/internal/demo/tamper"
)

// Command is "relais demo".
func Command(ctx context.Context, c cli.DemoChoices) error {
	opt := Options{
		Sabotage: tamper.Kinds{Lost: c.Lose, Doubled: c.Double, Flags: c.Flag}, Once: c.Once, Story: c.Story, Data: c.Data,
		Lang: cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")),
	}
	opt.Terminal, opt.Width = terminal(c.Story)
	_, err := Run(ctx, opt)
	if errors.Is(err, ErrDifferences) {
		return cli.ErrDifferences // the story has told them
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; everything is removed")
	}
	return err
}

// terminal tells whether w is one, and its width in columns.
func terminal(w io.Writer) (bool, int) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false, 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return true, 0
	}
	return true, width
}
