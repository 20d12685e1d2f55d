package cli

import "relais/internal/adminapi"

type statusCmd struct{}

// Help is the long help.
func (statusCmd) Help() string {
	return `Example:
  relais status --json`
}

// Run shows the status.
func (statusCmd) Run(s *session) error {
	var st adminapi.Status
	if err := s.get("/status", &st); err != nil {
		return err
	}
	s.answer(st, func(t *table) {
		t.line("relais %s, running since %s", st.Version, st.Since.Local().Format("2006-01-02 15:04:05"))
	})
	return nil
}
