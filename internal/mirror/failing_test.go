package mirror_test

import (
	"context"
	"errors"

	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mirror"
)

// failingPrimary lets some calls to the primary through and breaks the session at the
// next one, before or after it has its effect.
type failingPrimary struct {
	mirror.Primary
	left  int
	after bool
	kill  context.CancelFunc // instead of a broken session: the pass is killed
	calls []string
}

func (f *failingPrimary) Open(ctx context.Context, login string) (mirror.Session, error) {
	s, err := f.Primary.Open(ctx, login)
	if err != nil {
		return nil, err
	}
	return &failingSession{s, f}, nil
}

var errCut = fault.Wrap(errors.New("connection reset by peer"), fault.Unavailable, "the primary does not answer")

type failingSession struct {
	mirror.Session
	f *failingPrimary
}

// call runs do, unless the session is to break before.
func (s *failingSession) call(name string, do func() error) error {
	s.f.calls = append(s.f.calls, name)
	switch s.f.left--; {
	case s.f.left > 0:
		return do()
	case s.f.left < 0:
		return errCut
	case s.f.kill != nil && s.f.after:
		err := do()
		s.f.kill()
		return err
	case s.f.kill != nil:
		s.f.kill()
		return context.Canceled
	case s.f.after:
		_ = do()
	}
	return errCut
}

func (s *failingSession) Folders(ctx context.Context) (out []mirror.Folder, err error) {
	err = s.call("Folders", func() error { out, err = s.Session.Folders(ctx); return err })
	return out, err
}

func (s *failingSession) Scan(ctx context.Context, folder string, since mirror.Token) (out mirror.Delta, err error) {
	err = s.call("Scan", func() error { out, err = s.Session.Scan(ctx, folder, since); return err })
	return out, err
}

func (s *failingSession) Fetch(ctx context.Context, folder string, uids []uint32, each func(mirror.Message) error) error {
	return s.call("Fetch", func() error { return s.Session.Fetch(ctx, folder, uids, each) })
}

func (s *failingSession) Append(ctx context.Context, folder string, messages []mirror.Append) (out []mirror.Appended, err error) {
	err = s.call("Append", func() error { out, err = s.Session.Append(ctx, folder, messages); return err })
	return out, err
}

func (s *failingSession) SetFlags(ctx context.Context, folder string, uids []uint32, add, remove mail.Flags) error {
	return s.call("SetFlags", func() error { return s.Session.SetFlags(ctx, folder, uids, add, remove) })
}

func (s *failingSession) Move(ctx context.Context, folder string, uids []uint32, to string) (out []mirror.Moved, err error) {
	err = s.call("Move", func() error { out, err = s.Session.Move(ctx, folder, uids, to); return err })
	return out, err
}

func (s *failingSession) Copy(ctx context.Context, folder string, uids []uint32, to string) (out []mirror.Moved, err error) {
	err = s.call("Copy", func() error { out, err = s.Session.Copy(ctx, folder, uids, to); return err })
	return out, err
}

func (s *failingSession) Delete(ctx context.Context, folder string, uids []uint32) (pending bool, err error) {
	err = s.call("Delete", func() error { pending, err = s.Session.Delete(ctx, folder, uids); return err })
	return pending, err
}

func (s *failingSession) CreateFolder(ctx context.Context, folder string, role mail.Role) error {
	return s.call("CreateFolder", func() error { return s.Session.CreateFolder(ctx, folder, role) })
}

func (s *failingSession) RenameFolder(ctx context.Context, from, to string) error {
	return s.call("RenameFolder", func() error { return s.Session.RenameFolder(ctx, from, to) })
}

func (s *failingSession) DeleteFolder(ctx context.Context, folder string) error {
	return s.call("DeleteFolder", func() error { return s.Session.DeleteFolder(ctx, folder) })
}
