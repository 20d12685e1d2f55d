// Package cli is the command line: one file per noun, every command with --json, an example, and an exit status that a script can trust.
//
// The words, the JSON and the exit statuses are docs/formats/cli.md.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"relais/internal/adminapi"
	"relais/internal/fault"
)

// Status is an exit status.
type Status int

// The exit statuses.
const (
	OK           Status = 0
	Failed       Status = 1
	Usage        Status = 2
	Differences  Status = 3
	Unreachable  Status = 4
	AwaitsPerson Status = 5
)

// ErrDifferences ends a command that found differences and has reported them.
var ErrDifferences = errors.New("differences found")

// Env is what the command line is given of its process.
type Env struct {
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Terminal bool // standard input and standard error are a terminal: questions may be asked, progress shown
	Width    int  // of the terminal, in columns
	Version  string
	Local    Local
}

// root is the grammar: one field per command, in the order of the help.
type root struct {
	Data    string           `help:"Data directory of the node." placeholder:"DIR" env:"RELAIS_DATA"`
	JSON    bool             `help:"Answer as JSON." name:"json"`
	Version kong.VersionFlag `help:"Show the version and end."`

	Init      initCmd      `cmd:"" help:"Make a node's data directory: keys, certificate, configuration."`
	Serve     serveCmd     `cmd:"" help:"Run the node."`
	Demo      demoCmd      `cmd:"" help:"Show the main job on this machine: a mail server dies, Relais stands in and gives everything back."`
	Status    statusCmd    `cmd:"" help:"Show how the node and its domains are."`
	Org       orgCmd       `cmd:"" help:"Organisations."`
	Domain    domainCmd    `cmd:"" help:"Domains."`
	Primary   primaryCmd   `cmd:"" help:"Primaries: the first mail systems."`
	People    peopleCmd    `cmd:"" help:"People with mailboxes."`
	Group     groupCmd     `cmd:"" help:"Groups: addresses of several people."`
	Failover  failoverCmd  `cmd:"" help:"Put Relais in charge of a domain's mail."`
	Return    returnCmd    `cmd:"" help:"Give a domain back to its primary."`
	Mirror    mirrorCmd    `cmd:"" help:"The mirror between standby and primary."`
	Reconcile reconcileCmd `cmd:"" help:"Compare a domain's ledger with its primary."`
	Verify    verifyCmd    `cmd:"" help:"Verify a signed report, without a node."`
	Queue     queueCmd     `cmd:"" help:"Mail for elsewhere."`
	Ledger    ledgerCmd    `cmd:"" help:"What happened to messages, and what is owed."`
	Audit     auditCmd     `cmd:"" help:"What administrators did."`
	Check     checkCmd     `cmd:"" help:"Verify the stored data, without a node."`
	Bench     benchCmd     `cmd:"" help:"Judge this machine: mail per second, CPU, disk."`
}

// session is one run of a command.
type session struct {
	Env
	ctx  context.Context
	root *root
}

// exit is how kong ends the process; Run recovers it.
type exit Status

// Run runs the command line args (without the program's name) and returns the exit status.
func Run(ctx context.Context, args []string, env Env) (status Status) {
	defer func() {
		if r := recover(); r != nil {
			code, ok := r.(exit)
			if !ok {
				panic(r)
			}
			status = Status(code)
		}
	}()
	var r root
	parser, err := kong.New(&r,
		kong.Name("relais"),
		kong.Description("Relais: a second, complete mail system that stands in for a company's first one, and gives everything back."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Vars{"version": env.Version},
		kong.Exit(func(code int) { panic(exit(code)) }),
	)
	if err != nil {
		fmt.Fprintln(env.Stderr, "relais:", err)
		return Failed
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(env.Stderr, "relais:", err)
		fmt.Fprintln(env.Stderr, "help: relais", helpFor(args))
		return Usage
	}
	s := &session{Env: env, ctx: ctx, root: &r}
	return s.end(parsed.Run(s))
}

// helpFor is the command that shows help where a wrong line went astray: the
// words before the first flag.
func helpFor(args []string) string {
	var words []string
	for _, a := range args {
		if strings.HasPrefix(a, "-") || len(words) == 2 {
			break
		}
		words = append(words, a)
	}
	return strings.Join(append(words, "--help"), " ")
}

// usageError is a mistake in how a command was called.
type usageError struct{ text string }

// Error is the text.
func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// end tells err, once, and gives the exit status that stands for it.
func (s *session) end(err error) Status {
	status := statusOf(err)
	if err == nil || errors.Is(err, ErrDifferences) {
		return status
	}
	if s.root.JSON {
		s.printJSON(errorAnswer{Error: errorText(err), Code: string(fault.CodeOf(err)), Status: int(status), Details: adminapi.Details(err)})
	}
	fmt.Fprintln(s.Stderr, "relais:", errorText(err))
	for _, line := range adminapi.Details(err) {
		fmt.Fprintln(s.Stderr, "  "+line)
	}
	return status
}

// errorAnswer is what --json says of an error.
type errorAnswer struct {
	Error   string   `json:"error"`
	Code    string   `json:"code"`
	Status  int      `json:"status"`
	Details []string `json:"details,omitempty"`
}

// statusOf is the one table from errors to exit statuses.
func statusOf(err error) Status {
	if err == nil {
		return OK
	}
	if errors.Is(err, ErrDifferences) {
		return Differences
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return Usage
	}
	if errors.Is(err, errNode) {
		return Unreachable
	}
	if fault.Is(err, fault.AwaitsPerson) {
		return AwaitsPerson
	}
	return Failed
}

// errorText is for the administrator, who may see causes.
func errorText(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok && fault.Is(err, fault.Invalid) {
		return f.Public
	}
	return err.Error()
}

// printJSON writes one JSON value and a newline to standard output.
func (s *session) printJSON(v any) {
	enc := json.NewEncoder(s.Stdout)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		fmt.Fprintln(s.Stderr, "relais: write answer:", err)
	}
}

// answer prints v as JSON or by table.
func (s *session) answer(v any, human func(*table)) {
	if s.root.JSON {
		s.printJSON(v)
		return
	}
	t := newTable(s.Stdout)
	human(t)
	t.flush()
}

// dataDir is the node's data directory.
func (s *session) dataDir() (string, error) {
	if s.root.Data == "" {
		return "", usagef("which node? Give --data DIR, or set RELAIS_DATA")
	}
	return s.root.Data, nil
}
