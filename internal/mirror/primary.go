package mirror

import (
	"context"
	"time"

	"relais/internal/mail"
)

// Primary is a company's first mail system as the merge engine sees it. A
// connector makes one per domain. Safe for concurrent use.
type Primary interface {
	// Open signs in to one account by its login at the primary. Errors:
	// fault.Unavailable (no answer), fault.Unauthenticated, fault.NotFound (no such account), fault.OverLimit (too many connections).
	Open(ctx context.Context, login string) (Session, error)
	// MaxSessions is how many sessions can be open at once; Open waits for more.
	MaxSessions() int
	Close() error
}

// Session is one signed-in account at the primary, used by one goroutine at a
// time. Every method honours ctx and has its own time limits; after
// fault.Unavailable the session is dead and is to be closed. A refusal of the
// server for one item is a *Refused.
type Session interface {
	Caps() Caps
	// Folders lists every folder that can hold messages or children, with the state that tells whether it changed.
	Folders(ctx context.Context) ([]Folder, error)
	// Scan tells what changed in a folder since the token; the zero token asks for all.
	Scan(ctx context.Context, folder string, since Token) (Delta, error)
	// Fetch streams whole messages of the folder in the order asked for. A UID that is gone meanwhile is left out.
	Fetch(ctx context.Context, folder string, uids []uint32, each func(Message) error) error
	// Append adds messages in one go where the server can; a refusal meets only
	// its message. On an error the outcome of all is unknown: scan before trying again.
	Append(ctx context.Context, folder string, messages []Append) ([]Appended, error)
	// SetFlags adds and removes flags of some messages of a folder.
	SetFlags(ctx context.Context, folder string, uids []uint32, add, remove mail.Flags) error
	// Move moves messages and tells their UIDs in the target, 0 where the server does not tell. It needs Caps.Move.
	Move(ctx context.Context, folder string, uids []uint32, to string) ([]Moved, error)
	// Copy copies messages and tells the UIDs of the copies, 0 where the server does not tell.
	Copy(ctx context.Context, folder string, uids []uint32, to string) ([]Moved, error)
	// Delete removes messages for good. Where the server can't without touching
	// others (no UIDPLUS) it sets \Deleted and returns pending true.
	Delete(ctx context.Context, folder string, uids []uint32) (pending bool, err error)
	CreateFolder(ctx context.Context, folder string, role mail.Role) error
	RenameFolder(ctx context.Context, from, to string) error
	DeleteFolder(ctx context.Context, folder string) error
	Subscribe(ctx context.Context, folder string, on bool) error
	// Wait returns nil when the folder is not, or is no more, as it was at the token,
	// and when ctx ends; the session lives on in both cases.
	Wait(ctx context.Context, folder string, since Token) error
	Close() error
}

// Caps states what a server can't do, so that the engine works around it.
type Caps struct {
	Condstore, Qresync, UIDPlus, Move, MultiAppend, ObjectID bool
	// CaseFolds tells that the server takes folder names that differ by case for the same.
	CaseFolds bool
}

// Folder is a folder of the primary. Name is UTF-8 with "/" between levels (the
// connector translates the server's separator and escapes what it can't hold, reversibly).
type Folder struct {
	Name       string
	Role       mail.Role
	ObjectID   string // MAILBOXID (RFC 8474), "" if unknown
	NoSelect   bool   // holds children only
	ReadOnly   bool
	Subscribed bool
	Token      Token // zero when the server did not tell: nothing may be concluded from it
	Messages   uint32
}

// Token is a position in a folder's history.
type Token struct {
	UIDValidity   uint32
	UIDNext       uint32
	HighestModseq uint64 // 0 without CONDSTORE
	Messages      uint32 // to notice expunges without QRESYNC
}

// Delta is what changed in a folder since a token.
type Delta struct {
	Token Token
	// Reset tells that UIDVALIDITY is another one: Items list everything.
	Reset bool
	// Complete tells that Items list every message of the folder, so that a UID
	// which the base knows and Items lack is gone. Otherwise Vanished says so.
	Complete  bool
	Items     []Item
	Vanished  []uint32
	Permanent mail.Flags // flags that the server keeps
	AnyWord   bool       // the server takes new keywords (\* in PERMANENTFLAGS)
	ReadOnly  bool
}

// Item is a message that is new or whose flags changed.
type Item struct {
	UID    uint32
	Flags  mail.Flags
	Modseq uint64
	Date   time.Time // INTERNALDATE; zero when only flags were asked for
	Size   int64     // RFC822.SIZE; 0 when only flags were asked for
}

// Message is a whole message of the primary.
type Message struct {
	UID   uint32
	Flags mail.Flags
	Date  time.Time
	Body  []byte // owned by the receiver
}

// Append is a message to add.
type Append struct {
	Body  []byte
	Flags mail.Flags
	Date  time.Time
}

// Appended is the outcome for one message: where it was put (a UID of 0 is not known), or why not.
type Appended struct {
	UIDValidity, UID uint32
	Refused          *Refused
}

// Moved tells where a message, or its copy, went. A To of 0 is not known.
type Moved struct {
	From, To    uint32
	UIDValidity uint32
}

// Refused is a server's refusal of one item: over quota, too big, a name it can't hold. It blocks only that item.
type Refused struct {
	Code  string // the response code, "OVERQUOTA", "TOOBIG", "" …
	Words string // the server's own words
}

// Error says who refused and why.
func (r *Refused) Error() string { return "the primary refused: " + r.Words }
