// Package demo tells the main job to whoever watches: a company's mail server dies, Relais stands in and gives everything back.
//
// Nothing is played: two Relais nodes run as processes of their own, one in the
// part of the company's old server, the other as the standby beside it. People
// read and write by IMAP and SMTP, and what is counted at the end is counted by a
// walk of both (package walker) against the book of what was sent (package
// traffic), neither of which knows Relais.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"relais/internal/demo/outside"
	"relais/internal/demo/tamper"
	"relais/internal/demo/traffic"
)

// ErrDifferences ends a demo whose primary differs from what it should hold: after a sabotage, as it must.
var ErrDifferences = errors.New("differences found")

// Size is how much happens.
type Size struct {
	People  int // at most 20
	History int // messages on the old server before the story begins
	Outside int // messages from outside during the outage, at least
	Sent    int // messages that people send on the standby
	Work    int // things that each of them does to a mailbox, on each side
}

// Standard is the size of "relais demo".
var Standard = Size{People: 20, History: 3000, Outside: 300, Sent: 80, Work: 6}

// Options say how the demo is shown. The zero value of a field takes the default named beside it.
type Options struct {
	Binary   string       // the program whose nodes run; this one
	Size     Size         // Standard
	Seed     uint64       // of company and messages; 1
	Sabotage tamper.Kinds // what happens behind Relais's back after the return; nothing
	Once     bool         // end after the story; else stay up until the context ends

	Story    io.Writer // hears the story; nowhere
	Terminal bool      // Story is a terminal: what is under way is drawn there
	Width    int       // of the terminal, in columns; unknown
	Lang     string    // as in the environment's LANG: "fr…" is French; English
	Data     io.Writer // gets the result as one line of JSON; nowhere
}

func (o *Options) setDefaults() error {
	if o.Binary == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		o.Binary = self
	}
	if o.Size == (Size{}) {
		o.Size = Standard
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Story == nil {
		o.Story = io.Discard
	}
	if o.Data == nil {
		o.Data = io.Discard
	}
	return nil
}

// Result is what was measured.
type Result struct {
	People   int     `json:"people"`
	Messages int     `json:"messages"`      // in all mailboxes at the end, by the book
	Cold     float64 `json:"cold_mirror_s"` // from connecting the old server until the mirror was in step

	Detected  float64 `json:"detected_s"`      // from SIGKILL until Relais was in charge
	FirstMail float64 `json:"first_mail_s"`    // from SIGKILL until a new message was read on the standby and its answer had arrived outside
	Received  int     `json:"received_during"` // messages from outside, from SIGKILL until all was returned
	Sent      int     `json:"sent_during"`     // messages of the company's people, in the same time

	ReturnTook  float64 `json:"return_s"`
	Returned    int     `json:"returned"`    // messages that the walk of the old server found after the return
	Lost        int     `json:"lost"`        // in the book, not found by the walks of old server, standby and outside
	Doubled     int     `json:"doubled"`     // found more often than in the book
	Differences int     `json:"differences"` // other flags, folders, dates or bytes than in the book

	Reconciled Reconciled `json:"reconciliation"`
	Total      float64    `json:"total_s"`
}

// Reconciled is what Relais itself reports, to be held against the walk: events of the outage, then messages.
type Reconciled struct {
	Received int `json:"received"` // in mailboxes: a message to two people counts twice
	Sent     int `json:"sent"`
	Moved    int `json:"moved"`
	Flagged  int `json:"flagged"`
	Deleted  int `json:"deleted"`

	Lost    int `json:"lost"`
	Doubled int `json:"doubled"`
	Extra   int `json:"extra"`
	Flags   int `json:"flags"`
	Folder  int `json:"folder"`
	Date    int `json:"date"`
	Content int `json:"content"`
	Refused int `json:"refused"`
	Matched int `json:"matched"`
}

// Run tells the story. The nodes, their data and all that was started are gone when it returns, however it ends.
// ErrDifferences tells that the old server is not as it should be.
func Run(ctx context.Context, opt Options) (Result, error) {
	if err := opt.setDefaults(); err != nil {
		return Result{}, err
	}
	s, err := openStage(opt)
	if err != nil {
		return Result{}, err
	}
	defer s.close()
	err = s.tell(ctx)
	if err != nil && !errors.Is(err, ErrDifferences) {
		return s.result, err
	}
	line, encodeErr := json.Marshal(s.result)
	if encodeErr != nil {
		return s.result, encodeErr
	}
	if _, err := fmt.Fprintf(opt.Data, "%s\n", line); err != nil {
		return s.result, err
	}
	if !opt.Once {
		s.tellWhere()
		<-ctx.Done()
	}
	return s.result, err
}

// stage is everyone in the story.
type stage struct {
	Options
	tells   *teller
	dir     string
	company traffic.Company
	book    *traffic.Book
	world   *outside.Server
	inbound *inbound
	old     *node // plays the company's server
	standby *node
	// The rebuilt server comes back on the ports of the old one.
	oldPorts, standbyPorts *Ports

	killed time.Time // when the old server was
	before int       // messages that had come from outside by then
	result Result
}

const (
	domainName = "valmont.test"
	orgName    = "valmont"
)

// openStage makes the company; its servers come with the story.
func openStage(opt Options) (*stage, error) {
	// A short path: the nodes' sockets lie in it.
	dir, err := os.MkdirTemp("", "relais-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the demo: %w", err)
	}
	s := &stage{Options: opt, dir: dir, company: traffic.NewCompany(domainName, opt.Size.People), book: traffic.NewBook()}
	s.tells = &teller{w: opt.Story, terminal: opt.Terminal, width: opt.Width, french: strings.HasPrefix(strings.ToLower(opt.Lang), "fr"), began: time.Now()}
	s.result.People = len(s.company.Staff)
	if s.world, err = outside.Listen("127.0.0.1:0"); err == nil {
		s.oldPorts, err = TakePorts()
	}
	if err == nil {
		s.standbyPorts, err = TakePorts()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends all processes and removes their data.
func (s *stage) close() {
	_ = s.inbound.silence() // what went wrong there has been told
	s.old.kill()
	s.standby.kill()
	s.oldPorts.GiveBack()
	s.standbyPorts.GiveBack()
	if s.world != nil {
		_ = s.world.Close()
	}
	if err := os.RemoveAll(s.dir); err != nil {
		s.tells.line("%v", err)
	}
}

// writer writes messages that no other writer of the story writes.
func (s *stage) writer(tag string) *traffic.Writer { return traffic.NewWriter(s.company, s.Seed, tag) }
