package smtp

import (
	"errors"

	"relais/internal/fault"
)

// Stage is where in the dialogue an error happened; one code has other replies at each.
type Stage int

// The stages.
const (
	AtAuth Stage = iota
	AtSender
	AtRecipient
	AtData
)

type status struct {
	code     int
	enhanced string
}

// replies is the door's table from codes to replies. What is nobody's fault but
// ours is temporary in SMTP, so that no mail is lost to a bug.
var replies = map[fault.Code][4]status{
	//                      AtAuth        AtSender      AtRecipient   AtData
	fault.Invalid:         {{501, "5.5.2"}, {553, "5.1.7"}, {553, "5.1.3"}, {554, "5.6.0"}},
	fault.NotFound:        {{535, "5.7.8"}, {550, "5.1.8"}, {550, "5.1.1"}, {554, "5.1.1"}},
	fault.Conflict:        {{454, "4.7.0"}, {451, "4.3.0"}, {451, "4.3.0"}, {451, "4.3.0"}},
	fault.Denied:          {{535, "5.7.8"}, {550, "5.7.1"}, {550, "5.7.1"}, {550, "5.7.1"}},
	fault.Unauthenticated: {{535, "5.7.8"}, {530, "5.7.0"}, {530, "5.7.0"}, {530, "5.7.0"}},
	fault.OverLimit:       {{454, "4.7.0"}, {452, "4.7.0"}, {452, "4.2.2"}, {452, "4.3.1"}},
	fault.TooLarge:        {{501, "5.5.2"}, {552, "5.3.4"}, {552, "5.3.4"}, {552, "5.3.4"}},
	fault.Temporary:       {{454, "4.7.0"}, {451, "4.3.0"}, {451, "4.3.0"}, {451, "4.3.0"}},
	fault.Unavailable:     {{454, "4.7.0"}, {451, "4.4.1"}, {450, "4.4.1"}, {451, "4.4.1"}},
	fault.Frozen:          {{454, "4.7.0"}, {451, "4.2.1"}, {450, "4.2.1"}, {451, "4.2.1"}},
	fault.AwaitsPerson:    {{454, "4.7.0"}, {451, "4.7.1"}, {450, "4.7.1"}, {451, "4.7.1"}},
	fault.Corrupt:         {{454, "4.7.0"}, {451, "4.3.0"}, {451, "4.3.0"}, {451, "4.3.0"}},
	fault.Internal:        {{454, "4.7.0"}, {451, "4.3.0"}, {451, "4.3.0"}, {451, "4.3.0"}},
}

// ReplyFor turns err, which is not nil, into the reply at a stage: a *Reply in
// its chain verbatim, else by its fault code with its public text.
func ReplyFor(err error, at Stage) *Reply {
	if r, ok := errors.AsType[*Reply](err); ok {
		return r
	}
	row, ok := replies[fault.CodeOf(err)]
	if !ok {
		row = replies[fault.Internal]
	}
	return &Reply{Code: row[at].code, Enhanced: row[at].enhanced, Lines: []string{fault.Public(err)}}
}
