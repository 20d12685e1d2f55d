package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestFaultsKeepCodeAndCauseThroughWrapping(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("open pack: %w", Wrap(io.ErrUnexpectedEOF, Corrupt, "the message %d is damaged", 7))
	if CodeOf(err) != Corrupt || !Is(err, Corrupt) || Public(err) != "the message 7 is damaged" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v: code %s, public %q", err, CodeOf(err), Public(err))
	}
	if got := err.Error(); got != "open pack: the message 7 is damaged: unexpected EOF" {
		t.Errorf("the log says %q", got)
	}
}

func TestWhatIsNoFaultIsInternalAndSaysNothing(t *testing.T) {
	t.Parallel()
	err := errors.New("password=secret")
	if CodeOf(err) != Internal || Public(err) != "internal error" || Retryable(err) {
		t.Errorf("code %s, public %q", CodeOf(err), Public(err))
	}
	if CodeOf(nil) != "" || Is(nil, Internal) || Wrap(nil, Corrupt, "x") != nil {
		t.Error("nil is no fault")
	}
}

func TestRetryable(t *testing.T) {
	t.Parallel()
	for code, want := range map[Code]bool{Temporary: true, Unavailable: true, Frozen: true, Denied: false, TooLarge: false, NotFound: false} {
		if Retryable(New(code, "x")) != want {
			t.Errorf("%s: want %v", code, want)
		}
	}
}
